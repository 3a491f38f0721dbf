#include "hub/admin/text_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "base/ids.h"
#include "hub/admin/cells.h"
#include "hub/admin/table.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;

std::string cut(std::string text, std::size_t octets_max) {
  if (text.size() <= octets_max) return text;
  auto end = octets_max - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80)
    --end;  // not inside a UTF-8 sequence
  return text.substr(0, end) + "...";
}

std::string sender_of(const Json& message) {
  auto sender = plain(message["sender"]);
  return sender.empty() ? "<>" : cut(sender, 40);
}

std::string more(const Json& answer) {
  return answer["next"].is_null()
             ? ""
             : fmt::format("... there are more; continue with --after {}\n", plain(answer["next"]));
}

std::vector<std::vector<std::string>> peer_rows(const Json& peers) {
  std::vector<std::vector<std::string>> rows = {{"HUB", "STATE", "SILENT FOR", "COPIES", "PRESSURE",
                                                 "ADDRESS", "SPOOL", "EPOCH", "CONFIGURATION", "TROUBLE"}};
  for (const auto& peer : peers) {
    auto silent = peer["silent_for_seconds"];
    rows.push_back(
        {plain(peer["hub"]), plain(peer["state"]),
         silent.is_null() ? "-" : fmt::format("{:.1f} s", silent.get<double>()),
         peer.value("takes_copies", false) ? "takes" : "-", plain(peer.value("pressure", Json("normal"))),
         plain(peer["address"]), plain(peer["spool"]), plain(peer["epoch"]),
         plain(peer.value("configuration", Json("unknown"))), plain(peer.value("trouble", Json(nullptr)))});
  }
  return rows;
}

/// What another hub is configured differently in, a line for each.
std::string drift_lines(const Json& peers) {
  std::string out;
  for (const auto& peer : peers)
    for (const auto& one : peer.value("differences", Json::array()))
      out += fmt::format("{} {}: {} is {} here, {} there{}\n",
                         one["refused"].get<bool>() ? "refused" : "warning", plain(peer["hub"]),
                         plain(one["key"]), plain(one["here"]), plain(one["there"]),
                         one["reason"].is_null() ? std::string() : " (" + plain(one["reason"]) + ")");
  return out.empty() ? out : "\n" + out;
}

std::string problem_lines(const Json& problems) {
  std::string out;
  for (const auto& one : problems)
    out +=
        fmt::format("  {}{}: {}\n", plain(one["file"]),
                    one["line"].is_null() ? std::string() : ":" + plain(one["line"]), plain(one["problem"]));
  return out;
}

std::string restart_lines(const Json& keys) {
  if (keys.empty()) return {};
  std::string out = "these keys changed and need a restart:\n";
  auto shown = [](const Json& value) {
    return value.is_null() || value == "" ? std::string("none") : plain(value);
  };
  for (const auto& one : keys)
    out += fmt::format("  {}: {} is in force, {} in the file\n", plain(one["key"]), shown(one["in_force"]),
                       shown(one["in_file"]));
  return out;
}

std::string certificate_rows(const Json& answer, const Screen& screen) {
  if (answer["certificates"].empty()) return {};
  std::vector<std::vector<std::string>> rows = {{"PLACE", "RESULT", "VALID UNTIL", "PROBLEM"}};
  for (const auto& one : answer["certificates"])
    rows.push_back(
        {plain(one["place"]), plain(one["result"]), plain(one["valid_until"]), plain(one["problem"])});
  return table(rows, screen);
}

std::string suspension_line(const Json& one, WallTime now) {
  auto line = fmt::format("{} {} for {}", plain(one["what"]),
                          one["name"] == "*" ? "of all" : plain(one["name"]), age(one["since"], now));
  if (!one["until"].is_null()) line += ", until " + plain(one["until"]);
  if (auto reason = plain(one["reason"]); !reason.empty()) line += ": " + reason;
  return line + "\n";
}

}  // namespace

std::string without_controls(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  // C1 control characters, which are two octets in UTF-8.
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0) text[i] = text[i + 1] = '?';
  }
  return text;
}

std::string status_view(const Json& status, WallTime now, const Screen& screen) {
  const auto& queue = status["queue"];
  const auto& totals = status["totals"];
  auto ready = status["ready"].get<bool>() ? std::string("takes mail")
                                           : "does not take mail: " + plain(status["reason"]);
  std::string out;
  out += fmt::format("hub         {} ({}), umbra {}\n", plain(status["hub"]), plain(status["host_name"]),
                     plain(status["version"]));
  out += fmt::format("state       {}\n", ready);
  if (auto waits = status.value("mail_waits", std::string()); !waits.empty())
    out += fmt::format("mail waits  {}\n", plain(status["mail_waits"]));
  out += fmt::format("running     {}, spool {}, epoch {}\n", age(status["started_at"], now),
                     plain(status["spool"]), plain(status["epoch"]));
  out += fmt::format("queue       {} messages, {} of them held\n", plain(queue["messages"]),
                     plain(queue["held"]));
  out += fmt::format("unprotected {}\n", plain(queue["unprotected"]));
  out += fmt::format("shadows     {} held for other hubs, {} discards owed\n", plain(status["shadows"]),
                     plain(status["discards_owed"]));
  if (auto net = status.value("safety_net", Json::object());
      !net.empty() && net["messages"].get<std::uint64_t>() > 0)
    out += fmt::format("safety net  {} messages delivered and kept, {}, the oldest for {}\n",
                       plain(net["messages"]), size_text(net["octets"]),
                       span_text(static_cast<std::int64_t>(net["oldest_age_seconds"].get<double>())));
  out += fmt::format(
      "since start {} accepted, {} recipients delivered, {} bounced, {} taken over, {} possible duplicates\n",
      plain(totals["accepted"]), plain(totals["recipients_delivered"]), plain(totals["recipients_bounced"]),
      plain(totals["taken_over"]), plain(totals["possible_duplicates"]));
  out += fmt::format("disk        {} free\n", size_text(status["spool_free_octets"]));
  if (const auto& configuration = status["configuration"]; configuration.is_object()) {
    const auto& last = configuration["last_reload"];
    out += fmt::format("configured  {} ago, {}\n", age(configuration["read_at"], now),
                       plain(configuration["file"]));
    if (last["result"] == "refused")
      out += fmt::format("refused     {} ago; the former configuration is in force\n", age(last["at"], now)) +
             problem_lines(last["problems"]);
    out += restart_lines(configuration["needs_restart"]);
  }
  for (const auto& one : status.value("suspended", Json::array()))
    out += "suspended   " + suspension_line(one, now);
  if (const auto& pressure = status["pressure"]; pressure["level"] != "normal")
    out += fmt::format("pressure    {} for {}: {}\n", plain(pressure["level"]), age(pressure["since"], now),
                       plain(pressure["cause"]));
  for (const auto& log : status.value("record_logs", Json::array())) {
    if (log["trouble"] != "")
      out += fmt::format("record log  {} cannot be written, {} wait: {}\n", plain(log["log"]),
                         size_text(log["octets_waiting"]), plain(log["trouble"]));
    if (log["lines_dropped"] != 0)
      out += fmt::format("record log  {} lacks {} records\n", plain(log["log"]), plain(log["lines_dropped"]));
  }
  for (const auto& filter : status.value("content_filters", Json::array())) {
    if (!filter["failed_at"].is_null())
      out +=
          fmt::format("filter      {} is {}, failed {} ago: {}\n", plain(filter["name"]),
                      plain(filter["state"]), age(filter["failed_at"], now), plain(filter["last_failure"]));
    if (!filter["waiting_since"].is_null())
      out += fmt::format("waiting     {} messages, {}, for content filter {}, the oldest for {}\n",
                         plain(filter["waiting"]), size_text(filter["waiting_octets"]), plain(filter["name"]),
                         age(filter["waiting_since"], now));
  }
  if (!status["peers"].empty())
    out += "\n" + table(peer_rows(status["peers"]), screen) + drift_lines(status["peers"]);
  return out;
}

std::string suspensions_view(const Json& answer, WallTime now) {
  std::string out;
  for (const auto& one : answer["suspended"]) out += suspension_line(one, now);
  return out.empty() ? "nothing is suspended\n" : out;
}

std::string peers_view(const Json& answer, const Screen& screen) {
  if (answer["peers"].empty()) return "no other hubs are configured\n";
  return table(peer_rows(answer["peers"]), screen) + drift_lines(answer["peers"]);
}

std::string queue_view(const Json& answer, WallTime now, const Screen& screen) {
  if (answer["messages"].empty()) return answer["next"].is_null() ? "no messages\n" : more(answer);
  std::vector<std::vector<std::string>> rows = {
      {"ID", "STATE", "AGE", "SIZE", "LEFT", "TRIES", "NEXT", "COPIES", "SENDER", "LAST ERROR"}};
  for (const auto& message : answer["messages"]) {
    rows.push_back({plain(message["id"]), plain(message["state"]), age(message["accepted_at"], now),
                    size_text(message["size"]),
                    fmt::format("{}/{}", plain(message["recipients_pending"]), plain(message["recipients"])),
                    plain(message["attempts"]), age(message["due"], now, true),
                    plain(message["copies"]) + (message["protected"].get<bool>() ? "" : " (!)"),
                    sender_of(message), cut(plain(message["last_error"]), 60)});
  }
  return table(rows, screen) + more(answer);
}

std::string message_view(const Json& message, const Screen& screen) {
  std::string out;
  auto line = [&out](const char* name, const std::string& value) {
    out += fmt::format("{:<12}{}\n", name, value);
  };
  line("id", plain(message["id"]));
  line("state",
       plain(message["state"]) + (message.value("held", false) ? ", held by its owner's operator" : ""));
  line("owner", plain(message["owner"]));
  line("generation", plain(message["generation"]));
  line("sender", sender_of(message));
  line("size", size_text(message["size"]));
  line("accepted", plain(message["accepted_at"]));
  if (message.contains("client"))
    line("client",
         fmt::format("{} ({})", plain(message["client"]["address"]), plain(message["client"]["helo"])));
  if (message.contains("expires_at")) line("expires", plain(message["expires_at"]));
  if (message.contains("protected"))
    line("protected", message["protected"].get<bool>() ? "yes" : "no: fewer copies than its policy asks for");
  if (message.contains("last_error") && !message["last_error"].get<std::string>().empty())
    line("last error", plain(message["last_error"]));

  if (message.contains("holders")) {
    out += "\ncopies\n";
    std::vector<std::vector<std::string>> rows = {{"  " + plain(message["owner"]), "owner", ""}};
    for (const auto& holder : message["holders"])
      rows.push_back({"  " + plain(holder["hub"]), plain(holder["state"]), plain(holder["spool"])});
    out += table(rows, screen);
  }
  if (message.contains("history") && !message["history"].empty()) {
    out += "\nowners\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& owner : message["history"])
      rows.push_back({"  " + plain(owner["generation"]), plain(owner["hub"]), plain(owner["how"]),
                      plain(owner["since"]), fmt::format("{} attempts", plain(owner["attempts"]))});
    out += table(rows, screen);
  }
  if (message.contains("queue") && !message["queue"].empty()) {
    out += "\nnext attempts\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& entry : message["queue"]) {
      rows.push_back({"  " + plain(entry["destination"]), plain(entry["due"]),
                      fmt::format("after {} attempts", plain(entry["attempts"]))});
    }
    out += table(rows, screen);
  }
  out += "\nrecipients\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& recipient : message["recipients"]) {
    rows.push_back({"  " + plain(recipient["address"]), plain(recipient["state"]),
                    recipient.contains("detail") ? plain(recipient["detail"]) : ""});
  }
  out += table(rows, screen);
  if (message.contains("recipients_left_out"))
    out += fmt::format("  ... and {} more\n", plain(message["recipients_left_out"]));
  return out;
}

std::string reload_view(const Json& answer, const Screen& screen) {
  const auto& configuration = answer["configuration"];
  auto file = plain(configuration["file"]);
  std::string out;
  if (configuration["result"] == "refused") {
    out = fmt::format("configuration {}: refused, the former one stays in force\n", file) +
          problem_lines(configuration["problems"]);
  } else if (configuration["changed"].empty()) {
    out = fmt::format("configuration {}: nothing changed{}\n", file,
                      configuration["needs_restart"].empty() ? "" : " that a reload can change");
  } else {
    out = fmt::format("configuration {}: changed, in force now\n", file);
    for (const auto& one : configuration["changed"]) out += "  " + plain(one["change"]) + "\n";
  }
  if (configuration["result"] != "refused") out += restart_lines(configuration["needs_restart"]);
  return out + certificate_rows(answer, screen);
}

std::string shadows_view(const Json& answer, WallTime now, const Screen& screen) {
  if (answer["shadows"].empty()) return "no shadows\n";
  std::vector<std::vector<std::string>> rows = {
      {"ID", "OWNER", "GENERATION", "AGE", "SIZE", "DONE", "SENDER"}};
  for (const auto& shadow : answer["shadows"]) {
    rows.push_back({plain(shadow["id"]), plain(shadow["owner"]), plain(shadow["generation"]),
                    age(shadow["accepted_at"], now), size_text(shadow["size"]),
                    fmt::format("{}/{}", plain(shadow["recipients_done"]), plain(shadow["recipients"])),
                    sender_of(shadow)});
  }
  return table(rows, screen) + more(answer);
}

}  // namespace umbra::hub
