#include "hub/commands/views.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/iso_time.h"
#include "hub/admin/cells.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

/// What an object has under that name; null where it has nothing.
const Json& at(const Json& object, const char* name) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string joined(const Json& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + plain(one);
  return out.empty() ? "-" : out;
}

std::string unanswered(const Json& hubs) {
  std::string out;
  for (const auto& hub : hubs)
    if (at(hub, "answered") != true)
      out += fmt::format("{} did not answer: {}\n", plain(at(hub, "hub")), plain(at(hub, "why")));
  return out;
}

std::int64_t number(const Json& value) {
  return value.is_number() ? value.get<std::int64_t>() : 0;
}

std::string per_second(const Json* before, const Json& now, const char* total, double seconds) {
  if (before == nullptr || !before->is_object() || seconds <= 0) return "-";
  const auto grown = number(at(at(now, "totals"), total)) - number(at(at(*before, "totals"), total));
  // It was started anew meanwhile.
  return grown < 0 ? "-" : fmt::format("{:.0f}", static_cast<double>(grown) / seconds);
}

const Json* status_of(const Json& answer, const std::string& hub) {
  for (const auto& part : at(answer, "hubs"))
    if (plain(at(part, "hub")) == hub) return &at(part, "status");
  return nullptr;
}

}  // namespace

std::string search_view(const Json& answer, WallTime now, const Screen& screen) {
  std::string out;
  if (answer["messages"].empty()) {
    out = "no messages\n";
  } else {
    Rows rows = {
        {"HUB", "ID", "STATE", "AGE", "TRIES", "NEXT", "NEXT HOP", "SENDER", "RECIPIENT", "LAST ERROR"}};
    for (const auto& message : answer["messages"]) {
      auto sender = plain(at(message, "sender"));
      auto recipient = plain(at(message, "recipient"));
      if (const auto more = number(at(message, "recipients_pending")); more > 1)
        recipient += fmt::format(" +{}", more - 1);
      rows.push_back({plain(at(message, "hub")), plain(at(message, "id")), plain(at(message, "state")),
                      age(at(message, "accepted_at"), now), plain(at(message, "attempts")),
                      age(at(message, "due"), now, true), joined(at(message, "next_hops")),
                      sender.empty() ? "<>" : sender, recipient, plain(at(message, "last_error"))});
    }
    out = table(rows, screen);
  }
  out += unanswered(answer["hubs"]);
  if (!answer["next"].is_null())
    out += fmt::format("... there may be more; continue with --after {}\n", plain(answer["next"]));
  return out;
}

std::string acted_view(const Json& answer, const std::string& action) {
  auto out = fmt::format("{}: {} of {} messages done\n", action, number(answer["done"]),
                         number(answer["done"]) + number(answer["refused"]));
  if (answer["hubs"].size() > 1)
    for (const auto& hub : answer["hubs"])
      if (at(hub, "answered") == true)
        out += fmt::format("{}: {} done, {} refused\n", plain(at(hub, "hub")), number(at(hub, "done")),
                           number(at(hub, "refused")));
  out += unanswered(answer["hubs"]);
  for (const auto& reason : answer["reasons"])
    out += fmt::format("{}: refused: {}\n", plain(at(reason, "id")), plain(at(reason, "why")));
  if (const auto left = number(answer["refused"]) - static_cast<std::int64_t>(answer["reasons"].size());
      left > 0)
    out += fmt::format("... and {} more refused\n", left);
  return out;
}

std::string certificates_view(const Json& answer, WallTime now, const Screen& screen) {
  Rows rows = {{"USED BY", "LEFT", "VALID UNTIL", "SUBJECT", "NAMES", "ISSUER", "PROBLEM"}};
  for (const auto& place : answer["certificates"]) {
    bool is_first = true;
    for (const auto& one : at(place, "certificates")) {
      auto left = age(at(one, "valid_until"), now, true);
      rows.push_back({is_first ? plain(at(place, "place")) : "", left == "now" ? "expired" : left,
                      plain(at(one, "valid_until")), plain(at(one, "subject")), joined(at(one, "names")),
                      plain(at(one, "issuer")), is_first ? plain(at(place, "problem")) : ""});
      is_first = false;
    }
    if (is_first)
      rows.push_back({plain(at(place, "place")), "-", "-", "no certificate of its own", "-", "-",
                      plain(at(place, "problem"))});
  }
  return rows.size() == 1 ? "TLS is not used\n" : table(rows, screen);
}

std::string config_diff_view(const Json& answer) {
  if (answer["result"] == "refused") {
    const auto& configuration = answer["configuration"];
    auto out = fmt::format("{}: would be refused\n", plain(at(configuration, "file")));
    for (const auto& one : at(at(configuration, "last_reload"), "problems"))
      out += fmt::format("  {}{}: {}\n", plain(at(one, "file")),
                         at(one, "line").is_null() ? std::string() : ":" + plain(at(one, "line")),
                         plain(at(one, "problem")));
    return out;
  }
  auto out =
      fmt::format("{} on {}: version {} is in force, {} is in the file\n", plain(answer["file"]),
                  plain(answer["hub"]), plain(answer["version_in_force"]), plain(answer["version_in_file"]));
  auto list = [&out](const char* title, const Json& changes) {
    if (changes.empty()) return;
    out += title;
    auto shown = [](const Json& value) {
      return value.is_null() || value == "" ? std::string("none") : plain(value);
    };
    for (const auto& one : changes)
      out += fmt::format("  {}: {} -> {}\n", plain(at(one, "key")), shown(at(one, "in_force")),
                         shown(at(one, "in_file")));
  };
  list("a reload would change\n", answer["at_reload"]);
  list("only a restart would change\n", answer["at_restart"]);
  return answer["result"] == "same" ? out + "nothing differs\n" : out;
}

std::string config_versions_view(const Json& answer, WallTime now, const Screen& screen) {
  Rows rows = {{"HUB", "VERSION", "IN FORCE FOR", "LAST RELOAD", "NEEDS RESTART", "FILE"}};
  for (const auto& part : answer["hubs"]) {
    const auto& configuration = at(at(part, "configuration"), "configuration");
    if (at(part, "answered") != true || !configuration.is_object()) {
      rows.push_back({plain(at(part, "hub")), "no answer", "-", "-", "-", plain(at(part, "why"))});
      continue;
    }
    rows.push_back({plain(at(part, "hub")), plain(at(configuration, "version")),
                    age(at(configuration, "read_at"), now),
                    plain(at(at(configuration, "last_reload"), "result")),
                    fmt::format("{} keys", at(configuration, "needs_restart").size()),
                    plain(at(configuration, "file"))});
  }
  return table(rows, screen);
}

std::string top_view(const TopSample* before, const TopSample& now, WallTime wall, const Screen& screen) {
  const double seconds = before == nullptr ? 0 : now.seconds - before->seconds;
  Rows rows = {{"HUB", "STATE", "IN/s", "OUT/s", "BNC/s", "QUEUE", "HELD", "UNPROT", "SHADOWS", "OWED",
                "CONN", "PRESSURE", "DISK FREE"}};
  std::vector<std::int64_t> sums(6);
  std::size_t silent = 0;
  for (const auto& part : at(now.answer, "hubs")) {
    const auto name = plain(at(part, "hub"));
    const auto& status = at(part, "status");
    if (at(part, "answered") != true || !status.is_object()) {
      ++silent;
      rows.push_back({name, "no answer", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    const Json* former = before == nullptr ? nullptr : status_of(before->answer, name);
    const auto& queue = at(status, "queue");
    const Json* counts[] = {&at(queue, "messages"), &at(queue, "held"),           &at(queue, "unprotected"),
                            &at(status, "shadows"), &at(status, "discards_owed"), &at(status, "connections")};
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += number(*counts[i]);
    rows.push_back(
        {name, at(status, "ready") == true ? "ready" : "closed",
         per_second(former, status, "accepted", seconds),
         per_second(former, status, "recipients_delivered", seconds),
         per_second(former, status, "recipients_bounced", seconds), plain(*counts[0]), plain(*counts[1]),
         plain(*counts[2]), plain(*counts[3]), plain(*counts[4]), plain(*counts[5]),
         plain(at(at(status, "pressure"), "level")),
         at(status, "spool_free_octets").is_number() ? size_text(at(status, "spool_free_octets")) : "-"});
  }
  const auto hubs = rows.size() - 1;
  if (hubs > 1) {
    std::vector<std::string> all = {"all", "", "", "", ""};
    for (auto sum : sums) all.push_back(std::to_string(sum));
    rows.push_back(std::move(all));
  }
  auto out = fmt::format("umbra  {} UTC  {} hubs{}\n\n", iso_time(wall).substr(11, 8), hubs,
                         silent == 0 ? std::string() : fmt::format(", {} of them without an answer", silent));
  // What does not fit on the screen is counted, not cut without a word.
  const std::size_t room = screen.lines > 4 ? screen.lines - 4 : 0;
  if (room > 0 && rows.size() > room) {
    const auto left_out = rows.size() - room;
    rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(room), rows.end());
    return out + table(rows, screen) + fmt::format("... and {} more lines\n", left_out);
  }
  return out + table(rows, screen);
}

}  // namespace umbra::hub
