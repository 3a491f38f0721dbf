#include "hub/suspension_command.h"

#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

#include <cstdio>

#include "hub/admin/client.h"
#include "hub/admin/text_view.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

enum Exit : int { done = 0, problem = 1, usage = 2, unreachable = 3, not_found = 4 };

int ask_and_show(const SuspensionCommand& command, const std::string& method, const std::string& target) {
  auto answer = ask_hub_json(command.socket, method, target);
  if (!answer) {
    std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
    return answer.error().status == 0 ? unreachable : answer.error().status == 404 ? not_found : problem;
  }
  auto text = command.output == "json" ? answer->dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"
                                       : suspensions_view(*answer, WallClock::now());
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? done : problem;
}

std::string encoded(const std::string& text) { return boost::urls::encode({text.data(), text.size()}, boost::urls::unreserved_chars); }

/// "?what=...&name=..."; empty after saying what is wrong.
std::string named(const SuspensionCommand& command) {
  if (command.name.empty() != command.all) {
    std::fprintf(stderr, "umbra: say a NAME, or --all\n");
    return {};
  }
  return "?what=" + command.what + "&name=" + encoded(command.all ? "*" : command.name);
}

}  // namespace

int run_suspend(const SuspensionCommand& command) {
  auto query = named(command);
  if (query.empty()) return usage;
  if (!command.span.empty()) {
    auto span = parse_duration(command.span);
    if (!span || *span < std::chrono::seconds(1)) {
      std::fprintf(stderr, "umbra: \"%s\" is no span of time: say 90s, 30min, 2h\n", command.span.c_str());
      return usage;
    }
    query += "&seconds=" + std::to_string(std::chrono::ceil<std::chrono::seconds>(*span).count());
  }
  if (!command.reason.empty()) query += "&reason=" + encoded(command.reason);
  return ask_and_show(command, "POST", "/v1/suspend" + query);
}

int run_resume(const SuspensionCommand& command) {
  auto query = named(command);
  return query.empty() ? static_cast<int>(usage) : ask_and_show(command, "POST", "/v1/resume" + query);
}

int run_suspensions(const SuspensionCommand& command) { return ask_and_show(command, "GET", "/v1/suspensions"); }

}  // namespace umbra::hub
