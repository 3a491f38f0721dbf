#include "hub/trace/story_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hub/admin/text_view.h"
#include "hub/trace/verdict.h"

namespace umbra::hub {
namespace {

std::string text_of(const Json& object, const char* name) {
  const auto& value = member(object, name);
  return value.is_string()   ? without_controls(value.get<std::string>())
         : value.is_number() ? value.dump()
                             : std::string();
}

const Json& list_of(const Json& object, const char* name) {
  static const Json empty = Json::array();
  const auto& value = member(object, name);
  return value.is_array() ? value : empty;
}

std::string in_brackets(const std::string& text) {
  return text.empty() ? text : " (" + text + ")";
}

/// What an event is called in a sentence.
struct Verb {
  std::string_view event;
  std::string_view source;  ///< empty: any
  std::string_view text;
};
constexpr std::array<Verb, 22> verbs = {{{"RECEIVE", "REDUNDANCY", "handed over to it"},
                                         {"RECEIVE", "", "accepted"},
                                         {"SEND", "", "delivered"},
                                         {"FAIL", "", "failed for good"},
                                         {"DEFER", "", "deferred"},
                                         {"DSN", "", "made as a notification"},
                                         {"DROP", "AGENT", "dropped by a content filter"},
                                         {"DROP", "ADMIN", "deleted by the operator"},
                                         {"DROP", "", "refused"},
                                         {"RESUBMIT", "SAFETYNET", "sent again from the safety net"},
                                         {"RESUBMIT", "", "taken over"},
                                         {"LOAD", "", "owned though no acknowledgement is known"},
                                         {"TRANSFER", "", "given over"},
                                         {"HOLD", "ADMIN", "held by the operator"},
                                         {"HOLD", "", "held"},
                                         {"RELEASE", "ADMIN", "released by the operator"},
                                         {"RELEASE", "", "released"},
                                         {"REROUTE", "", "sent another way by the operator"},
                                         {"HAREDIRECT", "", "copy made"},
                                         {"HAREDIRECTFAIL", "", "copy not made"},
                                         {"HARECEIVE", "", "copy received"},
                                         {"HADISCARD", "", "copy dropped"}}};

bool is_about_copies(std::string_view event) {
  return event.starts_with("HA");
}

/// "from", "to" or "on" another hub.
std::string_view towards_hub(std::string_view event) {
  if (event == "TRANSFER") return " to ";
  return event == "HAREDIRECT" || event == "HAREDIRECTFAIL" ? " on " : " from ";
}

/// What is left of it when the rest of the sentence has been said.
std::string custom_rest(const Json& record) {
  std::string out;
  const auto custom = text_of(record, "custom-data");
  for (std::string_view rest = custom; !rest.empty();) {
    auto pair = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    constexpr std::array said = {
        "hub=", "next-hop=", "next-hop-address=", "event=", "history=", "generation="};
    if (std::ranges::none_of(said, [pair](const char* name) { return pair.starts_with(name); }))
      out += (out.empty() ? "" : ", ") + std::string(pair);
  }
  return out;
}

std::string sentence(const Json& record) {
  const auto event = text_of(record, "event");
  const auto source = text_of(record, "source");
  auto verb = std::ranges::find_if(verbs, [&](const Verb& one) {
    return one.event == event && (one.source.empty() || one.source == source);
  });
  std::string text =
      verb == verbs.end() ? event + (source.empty() ? "" : " " + source) : std::string(verb->text);
  if (auto named = without_controls(custom_of(record, "event")); !named.empty() && verb == verbs.end()) {
    std::ranges::replace(named, '_', ' ');
    text = named;
  }
  const auto client = text_of(record, "client-hostname");
  const auto address = text_of(record, "client-ip");
  if (event == "RECEIVE" && !address.empty())
    text += " from " + client + (client.empty() ? "" : " ") + "[" + address + "]";
  if (const auto hub = without_controls(custom_of(record, "hub")); !hub.empty())
    text.append(towards_hub(event)).append(hub);
  if (event == "SEND" && !next_hop_of(record).empty())
    text += " to " + without_controls(next_hop_of(record));
  else if (!next_hop_of(record).empty())
    text += " by " + without_controls(next_hop_of(record));
  if (const auto recipients = text_of(record, "recipient-address");
      !recipients.empty() && !is_about_copies(event))
    text += " for " + recipients;
  for (const char* name : {"recipient-status", "source-context"})
    if (const auto said = text_of(record, name); !said.empty()) text += "; " + said;
  if (const auto other = text_of(record, "reference"); !other.empty())
    text += "; " + std::string(event == "RELEASE" ? "goes on as " : "of ") + other;
  if (const auto rest = custom_rest(record); !rest.empty()) text += "; " + rest;
  return text;
}

std::string holders_of(const Json& fact) {
  std::string out;
  for (const auto& holder : list_of(fact, "holders"))
    out += (out.empty() ? "" : ", ") + text_of(holder, "hub") + in_brackets(text_of(holder, "state"));
  return out;
}

void add_fact(std::string& out, const Json& fact) {
  const auto role = text_of(fact, "role");
  const auto generation = text_of(fact, "generation");
  std::string line;
  if (role == "owner")
    line = "owns it: " + text_of(fact, "state");
  else if (role == "shadow")
    line = "holds a copy for " + text_of(fact, "owner");
  else if (role == "kept")
    line = "keeps it in the safety net since " + text_of(fact, "ended_at");
  else if (role == "done")
    line = "has finished it, and has yet to tell others so";
  else
    return;
  out += "  now  " + text_of(fact, "hub") + "  " + line +
         (generation.empty() ? "" : ", generation " + generation) + '\n';
  auto add = [&](const std::string& text) { out += "         " + text + '\n'; };
  for (const auto& entry : list_of(fact, "queue"))
    add("for " + text_of(entry, "destination") + ": due " + text_of(entry, "due") + ", tried " +
        text_of(entry, "attempts") + " times");
  if (const auto error = text_of(fact, "last_error"); !error.empty()) add("last error: " + error);
  if (const auto holders = holders_of(fact); !holders.empty())
    add((role == "owner" ? "copies: " : "offered to: ") + holders);
  for (const auto& recipient : list_of(fact, "recipients"))
    if (role == "owner")
      add(text_of(recipient, "address") + ": " + text_of(recipient, "state") +
          in_brackets(text_of(recipient, "detail")));
  if (const auto left = text_of(fact, "recipients_left_out"); !left.empty())
    add("and " + left + " more recipients");
  for (const auto& one : list_of(fact, "delivered"))
    add(text_of(one, "address") + ": delivered to " + text_of(one, "next_hop") +
        in_brackets(text_of(one, "reply")));
  const auto& history = list_of(fact, "history");
  if (history.size() > 1)
    for (const auto& owner : history)
      add("owner " + text_of(owner, "generation") + ": " + text_of(owner, "hub") + ", " +
          text_of(owner, "how") + " " + text_of(owner, "since"));
}

void add_story(std::string& out, const Json& story) {
  out += text_of(story, "id");
  const auto& sender = member(story, "sender");
  if (sender.is_string())
    out += "  from " + (text_of(story, "sender").empty() ? std::string("<>") : text_of(story, "sender"));
  std::string recipients;
  for (const auto& one : list_of(story, "recipients"))
    if (one.is_string())
      recipients += (recipients.empty() ? "" : ", ") + without_controls(one.get<std::string>());
  if (!recipients.empty()) out += " to " + recipients;
  if (const auto id = text_of(story, "message_id"); !id.empty()) out += "  " + id;
  out += '\n';
  if (const auto subject = text_of(story, "subject"); !subject.empty()) out += "  subject: " + subject + '\n';
  for (const auto& record : list_of(story, "records"))
    out += "  " + text_of(record, "time") + "  " + text_of(record, "hub") + "  " + sentence(record) + '\n';
  for (const auto& fact : list_of(story, "spool")) add_fact(out, fact);
  out += "  => " + text_of(member(story, "verdict"), "text") + '\n';
}

}  // namespace

std::string story_view(const Json& answer) {
  std::string out;
  for (const auto& story : list_of(answer, "messages")) {
    if (!out.empty()) out += '\n';
    add_story(out, story);
  }
  if (out.empty()) out = "no such message\n";
  for (const auto& hub : list_of(answer, "hubs"))
    if (member(hub, "answered") == false)
      out += fmt::format("{} did not answer: {}\n", text_of(hub, "hub"), text_of(hub, "why"));
  for (const auto& remark : list_of(answer, "remarks"))
    out += fmt::format("{}: {}\n", text_of(remark, "hub"), text_of(remark, "remark"));
  return out;
}

}  // namespace umbra::hub
