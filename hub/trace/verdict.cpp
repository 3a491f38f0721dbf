#include "hub/trace/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace umbra::hub {
namespace {

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}
std::uint64_t number_of(const Json& value) {
  return value.is_number_integer() && value >= 0 ? value.get<std::uint64_t>() : 0;
}
bool is_role(const Json& fact, std::string_view role) {
  return text_of(member(fact, "role")) == role;
}

std::string names(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + one;
  return out;
}

void add(std::vector<std::string>& list, const std::string& name) {
  if (!name.empty() && std::ranges::find(list, name) == list.end()) list.push_back(name);
}

bool is_silent(const std::vector<std::string>& silent, const std::string& hub) {
  return std::ranges::find(silent, hub) != silent.end();
}

/// The fact of that role with the highest generation.
const Json* latest(const Json& facts, std::string_view role) {
  const Json* found = nullptr;
  for (const auto& fact : facts)
    if (is_role(fact, role) &&
        (found == nullptr || number_of(member(fact, "generation")) > number_of(member(*found, "generation"))))
      found = &fact;
  return found;
}

/// Hubs that said that they hold a copy, and those of which only the owner says it and which were not heard.
std::vector<std::string> copies_of(const Json& facts, const Json* owner,
                                   const std::vector<std::string>& silent) {
  std::vector<std::string> copies;
  for (const auto& fact : facts)
    if (is_role(fact, "shadow")) add(copies, text_of(member(fact, "hub")));
  if (owner != nullptr && member(*owner, "holders").is_array())
    for (const auto& holder : member(*owner, "holders"))
      if (text_of(member(holder, "state")) == "holds" && is_silent(silent, text_of(member(holder, "hub"))))
        add(copies, text_of(member(holder, "hub")));
  return copies;
}

Json verdict(const char* state, const std::string& at, const std::vector<std::string>& copies,
             std::string text) {
  return {{"state", state},
          {"at", at.empty() ? Json(nullptr) : Json(at)},
          {"copies", copies},
          {"text", std::move(text)}};
}

std::string copies_text(const std::vector<std::string>& copies) {
  return copies.empty() ? "no copy elsewhere" : "copies at " + names(copies);
}

Json of_owner(const Json& owner, const std::vector<std::string>& copies) {
  const auto at = text_of(member(owner, "hub"));
  const auto state = text_of(member(owner, "state"));
  std::string text = state == "held"           ? "held at " + at
                     : state == "handing_over" ? "being handed over by " + at
                                               : "queued at " + at;
  const auto due = text_of(member(owner, "due"));
  const auto attempts = number_of(member(owner, "attempts"));
  if (state == "queued" && !due.empty()) text += (attempts == 0 ? ": due " : ": next attempt ") + due;
  if (attempts != 0) text += fmt::format(", tried {} time{}", attempts, attempts == 1 ? "" : "s");
  if (const auto error = text_of(member(owner, "last_error")); !error.empty()) text += ", last: " + error;
  return verdict(state == "held"           ? "held"
                 : state == "handing_over" ? "handing_over"
                                           : "queued",
                 at, copies, text + "; " + copies_text(copies));
}

/// How each recipient ended, as the records say.
struct Outcomes {
  std::map<std::string, std::string> by_recipient;  // event; "DELETE": dropped by the operator
  std::string deleted_at;
  std::string next_hop;
  std::string hub;  // that sent it last
  std::string dropped;
};

Outcomes outcomes_of(const Json& records) {
  Outcomes outcomes;
  for (const auto& record : records) {
    const auto event = text_of(member(record, "event"));
    const bool is_end = event == "SEND" || event == "FAIL" || event == "DROP";
    const bool is_deletion = event == "DROP" && text_of(member(record, "source")) == "ADMIN";
    if (is_deletion) outcomes.deleted_at = text_of(member(record, "hub"));
    if (event == "DROP")
      outcomes.dropped =
          "by " + text_of(member(record, "hub")) + ": " + text_of(member(record, "source-context"));
    // A shadow is no delivery.
    if (!is_end && event != "RECEIVE" && event != "RESUBMIT" && event != "DEFER" && event != "EXPAND")
      continue;
    const auto list = text_of(member(record, "recipient-address"));
    for (std::string_view rest = list; !rest.empty();) {
      std::string one(rest.substr(0, rest.find(';')));
      rest.remove_prefix(std::min(one.size() + 1, rest.size()));
      if (one == "...") continue;  // more than the record has room for: each has one of its own in the end
      auto& known = outcomes.by_recipient[one];
      if (is_end) known = is_deletion ? "DELETE" : event;
    }
    if (event != "SEND") continue;
    outcomes.hub = text_of(member(record, "hub"));
    outcomes.next_hop = next_hop_of(record);
  }
  return outcomes;
}

Json of_records(const Json& records, const std::vector<std::string>& copies) {
  const auto outcomes = outcomes_of(records);
  std::size_t sent = 0;
  std::size_t failed = 0;
  std::size_t deleted = 0;
  std::size_t open = 0;
  for (const auto& [recipient, event] : outcomes.by_recipient)
    ++(event == "SEND" ? sent : event == "DELETE" ? deleted : event.empty() ? open : failed);
  if (sent + failed + deleted == 0)
    return outcomes.dropped.empty()
               ? Json(nullptr)
               : verdict("refused", {}, copies, "refused or dropped " + outcomes.dropped);
  const auto where = outcomes.hub.empty() ? std::string()
                                          : " by " + outcomes.hub +
                                                (outcomes.next_hop.empty() ? "" : " to " + outcomes.next_hop);
  const auto left = copies.empty() ? std::string("; no copy is left") : "; " + copies_text(copies);
  const auto deletion = "deleted by the operator at " + outcomes.deleted_at;
  if (failed + deleted + open == 0)
    return verdict("delivered", outcomes.hub, copies, "delivered" + where + left);
  if (sent + deleted + open == 0) return verdict("bounced", {}, copies, "bounced" + left);
  if (sent + failed + open == 0) return verdict("deleted", outcomes.deleted_at, copies, deletion + left);
  auto text = fmt::format("{} recipients delivered{}, {} failed, {} not known", sent, where, failed, open);
  if (deleted != 0) text += fmt::format(", {} {}", deleted, deletion);
  return verdict(sent == 0 && open == 0 ? "deleted" : "partly_delivered",
                 sent == 0 ? outcomes.deleted_at : outcomes.hub, copies, text + left);
}

}  // namespace

const Json& member(const Json& object, const char* name) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string custom_of(const Json& record, std::string_view name) {
  const auto custom = text_of(member(record, "custom-data"));
  for (std::string_view rest = custom; !rest.empty();) {
    auto pair = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      return std::string(pair.substr(name.size() + 1));
  }
  return {};
}

std::string next_hop_of(const Json& record) {
  const auto host = custom_of(record, "next-hop");
  const auto address = custom_of(record, "next-hop-address");
  if (host.empty() || address.empty() || address.starts_with(host))
    return host.empty() || !address.empty() ? address : host;
  return host + " (" + address + ")";
}

Json verdict_of(const Json& facts, const Json& records, const std::vector<std::string>& silent) {
  const Json* owner = latest(facts, "owner");
  const auto copies = copies_of(facts, owner, silent);
  if (owner != nullptr) return of_owner(*owner, copies);
  if (const Json* shadow = latest(facts, "shadow")) {
    const auto of = text_of(member(*shadow, "owner"));
    if (is_silent(silent, of))
      return verdict("copies_only", of, copies,
                     "queued at " + of + ", as far as is known: it did not answer; " + copies_text(copies));
    auto ended = of_records(records, copies);
    if (!ended.is_null()) return ended;
    return verdict("copies_only", {}, copies,
                   "no hub that answered owns it; " + copies_text(copies) + ", held for " + of);
  }
  if (auto ended = of_records(records, copies); !ended.is_null()) return ended;
  if (const Json* kept = latest(facts, "kept")) {
    const auto at = text_of(member(*kept, "hub"));
    return verdict("delivered", at, copies, "delivered; kept in the safety net at " + at);
  }
  if (const Json* done = latest(facts, "done")) {
    const auto at = text_of(member(*done, "hub"));
    return verdict("ended", at, copies, "finished at " + at + ": delivered, bounced or deleted");
  }
  const auto unheard = silent.empty() ? std::string() : "; not asked, or no answer: " + names(silent);
  if (!records.empty())
    return verdict("unknown", {}, copies,
                   "no hub that answered has it, and no log says how it ended" + unheard);
  return verdict("unknown", {}, copies, "no hub that answered knows it" + unheard);
}

}  // namespace umbra::hub
