// The admin API's part for the way of messages: GET /v1/trace (its query: hub/trace/question.h).
#include "hub/admin/answers.h"
#include "hub/admin/trace_control.h"

namespace umbra::hub {

Task<ApiResponse> AdminApi::trace(ApiCall call) {
  auto question = parse_trace_question(call.query);
  if (!question) co_return error_answer(400, question.error());
  // A question that has been passed on is not passed on again.
  if (call.is_passed_on) question->is_cluster = false;
  auto told = co_await backend_.tracer().trace(std::move(*question));
  if (!told) co_return unavailable(told.error());
  co_return json_answer(*told);
}

}  // namespace umbra::hub
