// The admin API's part for the way of messages: GET /v1/trace (its query: hub/trace/question.h), and the questions that other hubs pass on, of which
// a list says which are answered.
#include "hub/admin/answers.h"
#include "hub/admin/trace_control.h"

namespace umbra::hub {

Task<ApiResponse> AdminApi::trace(std::string query, bool is_passed_on) {
  auto question = parse_trace_question(query);
  if (!question) co_return error_answer(400, question.error());
  // A question that has been passed on is not passed on again.
  if (is_passed_on) question->is_cluster = false;
  auto told = co_await backend_.tracer().trace(std::move(*question));
  if (!told) co_return unavailable(told.error());
  co_return json_answer(*told);
}

Task<ApiResponse> AdminApi::passed_on(std::string target) {
  auto mark = target.find('?');
  const auto path = target.substr(0, mark);
  auto query = mark == std::string::npos ? std::string() : target.substr(mark + 1);
  if (path == "/v1/trace") co_return co_await trace(std::move(query), true);
  co_return error_answer(404, "not answered to other hubs");
}

}  // namespace umbra::hub
