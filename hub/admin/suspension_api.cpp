// The admin API's part for what an operator suspends:
//   GET /v1/suspensions
//   POST /v1/suspend?what=KIND&name=NAME&seconds=S&reason=TEXT
//   POST /v1/resume?what=KIND&name=NAME                          404: it is not suspended
// NAME may be "*" for all listeners or deliveries; without seconds it is until it is resumed.
// KIND: listener, delivery (to a destination), domain (of recipients), sender.
// NAME and TEXT are percent-encoded (RFC 3986 section 2.1).
#include "hub/admin/answers.h"
#include "hub/admin/query.h"
#include "hub/percent.h"

namespace umbra::hub {
namespace {

constexpr std::uint64_t seconds_max = 366ULL * 24 * 3600;
constexpr std::size_t text_octets_max = 500;
constexpr const char* expected_words =
    "expected what=listener|delivery|domain|sender, name=NAME, seconds=1..31622400, reason=TEXT of at most "
    "500 octets";

std::optional<std::string> decode(std::string_view text) {
  auto decoded = percent_decoded(text);
  if (decoded && decoded->size() > text_octets_max) return std::nullopt;
  return decoded;
}

std::optional<Suspension> parse(std::string_view query, bool is_resume) {
  Suspension suspension;
  bool has_what = false;
  for (const auto& part : split_query(query)) {
    if (part.key == "what") {
      const auto what = suspension_kind(part.value);
      if (!what) return std::nullopt;
      suspension.what = *what;
      has_what = true;
      continue;
    }
    if (part.key == "seconds" && !is_resume && part.number && *part.number >= 1 &&
        *part.number <= seconds_max) {
      suspension.until = WallClock::now() + std::chrono::seconds(*part.number);
      continue;
    }
    auto text = decode(part.value);
    if (!text || !(part.key == "name" || (part.key == "reason" && !is_resume))) return std::nullopt;
    (part.key == "name" ? suspension.name : suspension.reason) = std::move(*text);
  }
  if (!has_what || suspension.name.empty()) return std::nullopt;
  return suspension;
}

}  // namespace

ApiResponse AdminApi::suspensions() {
  return json_answer({{"suspended", suspension_report(backend_.suspensions().list())}});
}

Task<ApiResponse> AdminApi::suspend(std::string query) {
  auto order = parse(query, false);
  if (!order) co_return error_answer(400, expected_words);
  if (auto wrong = wrong_name(order->what, order->name); !wrong.empty()) co_return error_answer(400, wrong);
  auto why = backend_.why_not_suspend(*order);
  if (!why.empty()) co_return error_answer(404, why);
  if (auto done = co_await backend_.suspensions().suspend(std::move(*order)); !done)
    co_return unavailable(done.error());
  co_return suspensions();
}

Task<ApiResponse> AdminApi::resume(std::string query) {
  auto order = parse(query, true);
  if (!order) co_return error_answer(400, expected_words);
  if (auto wrong = wrong_name(order->what, order->name); !wrong.empty()) co_return error_answer(400, wrong);
  auto done = co_await backend_.suspensions().resume(order->what, order->name);
  if (!done) co_return unavailable(done.error());
  if (!*done)
    co_return error_answer(404,
                           std::string(to_string(order->what)) + " " + order->name + " is not suspended");
  co_return suspensions();
}

}  // namespace umbra::hub
