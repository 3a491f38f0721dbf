#include "hub/commands/watch_command.h"

#include <CLI/CLI.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>

#include "hub/admin/follow.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;

std::string encoded(const std::string& text) {
  return boost::urls::encode({text.data(), text.size()}, boost::urls::unreserved_chars);
}

/// Control octets, also those of UTF-8 (U+0080 to U+009F), are shown as "?".
std::string shown(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const bool is_c1 = octet == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) ++i;
    out += octet < 0x20 || octet == 0x7f || is_c1 ? '?' : text[i];
  }
  return out;
}

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || !found->is_string() ? std::string() : shown(found->get<std::string>());
}

std::uint64_t number_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || !found->is_number_unsigned() ? 0 : found->get<std::uint64_t>();
}

}  // namespace

std::string watch_line(std::string_view line) {
  const auto json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return "? " + shown(std::string(line)) + "\n";
  if (json.contains("end")) return "-- " + text_of(json, "end") + "\n";
  if (json.contains("dropped"))
    return "-- " + std::to_string(number_of(json, "dropped")) +
           " lines are missing here: they were not taken in time\n";
  if (json.contains("not_kept"))
    return "-- session " + text_of(json, "session") + " begins here; " +
           std::to_string(number_of(json, "not_kept")) + " lines before are not kept\n";
  const auto time = text_of(json, "time");
  std::string out = (time.size() > 23 ? time.substr(11, 12) : time) + " " +
                    (text_of(json, "direction") == "in" ? "in  " : "out ");
  const auto host = text_of(json, "host");
  out += text_of(json, "session").substr(0, 8) + " " + text_of(json, "connector") + " " +
         (host.empty() ? "" : host + " ") + text_of(json, "remote") + " " + text_of(json, "event");
  const auto data = text_of(json, "data");
  const auto context = text_of(json, "context");
  if (!data.empty()) out += " " + data;
  if (!context.empty()) out += data.empty() ? " " + context : "  (" + context + ")";
  return out + "\n";
}

int run_watch(const WatchCommand& command) {
  std::string query;
  const auto add = [&query](const char* name, const std::string& value) {
    if (!value.empty()) query += (query.empty() ? "?" : "&") + std::string(name) + "=" + encoded(value);
  };
  add("client", command.client);
  add("listener", command.listener);
  add("next_hop", command.next_hop);
  add("address", command.address);
  add("direction", command.direction);
  if (!command.span.empty()) {
    const auto span = parse_duration(command.span);
    if (!span || *span < std::chrono::seconds(1)) {
      std::fprintf(stderr, "umbra: \"%s\" is no span of time: say 90s, 30min, 2h\n", command.span.c_str());
      return usage;
    }
    add("seconds", std::to_string(std::chrono::ceil<std::chrono::seconds>(*span).count()));
  }
  const bool is_json = command.output == "json";
  auto followed = follow_hub(command.socket, "/v1/watch" + query, [is_json](std::string_view line) {
    const std::string out = is_json ? std::string(line) + "\n" : watch_line(line);
    return std::fputs(out.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  });
  if (followed) return done;
  std::fprintf(stderr, "umbra: %s\n", followed.error().why.c_str());
  return followed.error().status == 0 ? unreachable : followed.error().status == 400 ? usage : problem;
}

void add_watch_command(CLI::App& app, Chosen& chosen) {
  auto watch = std::make_shared<WatchCommand>();
  auto* command = app.add_subcommand(
      "watch",
      "Show what is said in SMTP sessions, while it is said. Without options all of them; until Ctrl-C");
  add_admin_options(command, watch->socket, watch->output);
  command->add_option("--client", watch->client, "Only clients of this address, network or range");
  command->add_option("--listener", watch->listener, "Only clients of this listener");
  command->add_option("--next-hop", watch->next_hop, "Only connections to this host, address or route");
  command->add_option(
      "--address", watch->address,
      "Only sessions whose MAIL or RCPT names it, from their beginning; @example.com: of that domain");
  command
      ->add_option("--direction", watch->direction,
                   "in: from clients. out: to next hops. Default: both, or what the other options are about")
      ->check(CLI::IsMember(std::set<std::string>{"in", "out"}));
  command->add_option("--for", watch->span, "How long (90s, 30min, 2h)");
  command->callback([watch, &chosen] { chosen = [watch] { return run_watch(*watch); }; });
}

}  // namespace umbra::hub
