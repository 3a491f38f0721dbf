#include "hub/trace/spool_facts.h"

#include <algorithm>

#include "hub/address_match.h"
#include "hub/logs/log_line.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_rows = 200;  // of one read: the lane has other work too
constexpr std::size_t rows_looked_at = 20'000;
constexpr std::size_t kept_looked_at = 5'000;
constexpr std::size_t recipients_shown_max = 50;

struct Known {
  std::optional<storage::StoredMessage> message;
  std::optional<storage::Shadow> shadow;
  std::optional<storage::KeptMessage> kept;
  bool is_done = false;
  Generation generation;
};

Json cut_recipients(Json report) {
  auto& recipients = report["recipients"];
  if (!recipients.is_array() || recipients.size() <= recipients_shown_max) return report;
  report["recipients_left_out"] =
      recipients.size() - recipients_shown_max + report.value("recipients_left_out", std::size_t{0});
  recipients.erase(recipients.begin() + recipients_shown_max, recipients.end());
  return report;
}

Json with_role(const std::string& hub, const char* role, Json report) {
  Json fact = {{"hub", hub}, {"role", role}};
  for (auto& [name, value] : report.items())
    if (name != "id") fact[name] = std::move(value);
  return fact;
}

Json kept_report(const storage::KeptMessage& kept) {
  Json delivered = Json::array();
  for (const auto& one : kept.delivered)
    if (one.index < kept.envelope.recipients.size() && delivered.size() < recipients_shown_max)
      delivered.push_back({{"address", kept.envelope.recipients[one.index].address},
                           {"next_hop", one.next_hop},
                           {"reply", one.reply}});
  Json recipients = Json::array();
  for (const auto& one : kept.envelope.recipients)
    if (recipients.size() < recipients_shown_max)
      recipients.push_back({{"address", one.address}, {"state", "done"}});
  return {{"generation", kept.generation.value},
          {"sender", kept.envelope.sender},
          {"size", kept.size},
          {"accepted_at", to_text(kept.envelope.accepted_at)},
          {"ended_at", to_text(kept.ended_at)},
          {"delivered_by", kept.is_shadow ? Json(kept.owner_hub) : Json(nullptr)},
          {"delivered", std::move(delivered)},
          {"recipients", std::move(recipients)}};
}

Json facts_of(const std::string& hub, const Known& known) {
  Json facts = Json::array();
  if (known.message)
    facts.push_back(with_role(hub, "owner", cut_recipients(message_report(*known.message, hub))));
  if (known.shadow) facts.push_back(with_role(hub, "shadow", cut_recipients(shadow_report(*known.shadow))));
  if (known.kept) facts.push_back(with_role(hub, "kept", kept_report(*known.kept)));
  if (known.is_done)
    facts.push_back({{"hub", hub}, {"role", "done"}, {"generation", known.generation.value}});
  return facts;
}

bool fits(const Envelope& envelope, const TraceQuestion& question) {
  if (!question.is_of_time(envelope.accepted_at) || !matches_address(envelope.sender, question.sender))
    return false;
  return question.recipient.empty() || std::ranges::any_of(envelope.recipients, [&](const auto& one) {
           return matches_address(one.address, question.recipient);
         });
}

/// Found so far: when accepted, and which.
using Found = std::vector<std::pair<WallTime, MessageId>>;

void add(Found& found, const Envelope& envelope, MessageId id, const TraceQuestion& question) {
  if (!fits(envelope, question)) return;
  found.emplace_back(envelope.accepted_at, id);
  if (found.size() < 4 * question.limit) return;
  std::ranges::sort(found, std::greater{});
  found.resize(question.limit);
}

/// Pages of what `read` gives behind a row, until there is nothing more; false: there was more.
template <class Rows, class Read, class Take>
Task<Result<bool>> walk(SpoolPlace& place, Read read, Take take) {
  RowId after;
  for (std::size_t looked_at = 0; looked_at < rows_looked_at;) {
    auto page = co_await query<Rows>(place.runtime.io, place.spool,
                                     [&read, after](storage::Reader& r) { return read(r, after); });
    if (!page) co_return std::unexpected(page.error());
    for (const auto& one : *page) take(one);
    if (page->size() < page_rows) co_return true;
    looked_at += page->size();
    after = page->back().row;
  }
  co_return false;
}

/// Message by message, as long as there are few.
Task<Result<bool>> walk_kept(SpoolPlace& place, WallTime since,
                             std::function<void(const storage::KeptMessage&)> take) {
  WallTime from = since;
  RowId after;
  for (std::size_t looked_at = 0; looked_at < kept_looked_at;) {
    auto page = co_await query<std::vector<storage::KeptMessage>>(
        place.runtime.io, place.spool,
        [from, after](storage::Reader& r) { return r.kept(from, after, WallTime::max(), page_rows); });
    if (!page) co_return std::unexpected(page.error());
    for (const auto& one : *page) take(one);
    if (page->size() < page_rows) co_return true;
    looked_at += page->size();
    from = page->back().ended_at;
    after = page->back().row;
  }
  co_return false;
}

Result<std::vector<storage::StoredMessage>> page_of_messages(storage::Reader& reader, RowId after) {
  auto rows = reader.messages(after, RowId{INT64_MAX}, page_rows);
  if (!rows) return std::unexpected(rows.error());
  std::vector<storage::StoredMessage> page;
  for (auto row : *rows) {
    auto message = reader.message(row);
    if (!message) return std::unexpected(message.error());
    if (*message) page.push_back(std::move(**message));
  }
  return page;
}

Result<Known> look_up(storage::Reader& reader, MessageId id) {
  Known known;
  auto row = reader.find_message(id);
  if (!row) return std::unexpected(row.error());
  if (*row) {
    auto message = reader.message(**row);
    if (!message) return std::unexpected(message.error());
    known.message = std::move(*message);
  }
  auto shadow = reader.shadow(id);
  if (!shadow) return std::unexpected(shadow.error());
  known.shadow = std::move(*shadow);
  auto knowledge = reader.lookup(id);
  if (!knowledge) return std::unexpected(knowledge.error());
  known.is_done = knowledge->kind == storage::Knowledge::Kind::done;
  known.generation = knowledge->generation;
  return known;
}

}  // namespace

Task<Result<std::map<MessageId, Json>>> facts_in_spool(SpoolPlace place, std::vector<MessageId> ids,
                                                       std::vector<std::string>& remarks) {
  std::map<MessageId, Known> all;
  bool is_wanted_of_net = false;
  for (const auto& id : ids) {
    auto known = co_await query<Known>(place.runtime.io, place.spool,
                                       [id](storage::Reader& r) { return look_up(r, id); });
    if (!known) co_return std::unexpected(known.error());
    is_wanted_of_net = is_wanted_of_net || !known->message;
    all.emplace(id, std::move(*known));
  }
  if (place.has_safety_net && is_wanted_of_net) {
    auto is_whole = co_await walk_kept(place, WallTime{}, [&all](const storage::KeptMessage& kept) {
      if (auto known = all.find(kept.id); known != all.end()) known->second.kept = kept;
    });
    if (!is_whole) co_return std::unexpected(is_whole.error());
    if (!*is_whole) remarks.emplace_back("only the oldest messages of the safety net were looked at");
  }
  std::map<MessageId, Json> result;
  for (const auto& [id, known] : all)
    if (auto facts = facts_of(place.hub, known); !facts.empty()) result.emplace(id, std::move(facts));
  co_return result;
}

Task<Result<std::vector<std::pair<WallTime, MessageId>>>> find_in_spool(SpoolPlace place,
                                                                        TraceQuestion question,
                                                                        std::vector<std::string>& remarks) {
  if (!question.message_id.empty()) co_return Found{};
  Found found;
  auto messages = co_await walk<std::vector<storage::StoredMessage>>(
      place, page_of_messages,
      [&](const storage::StoredMessage& one) { add(found, one.envelope, one.id, question); });
  if (!messages) co_return std::unexpected(messages.error());
  if (!*messages) remarks.emplace_back("only the oldest messages of the queue were looked at: ask by id");
  auto shadows = co_await walk<std::vector<storage::Shadow>>(
      place, [](storage::Reader& r, RowId after) { return r.shadows(after, page_rows); },
      [&](const storage::Shadow& one) { add(found, one.envelope, one.id, question); });
  if (!shadows) co_return std::unexpected(shadows.error());
  if (!*shadows)
    remarks.emplace_back("only the oldest copies that are held for others were looked at: ask by id");
  if (place.has_safety_net) {
    auto kept = co_await walk_kept(place, question.since, [&](const storage::KeptMessage& one) {
      add(found, one.envelope, one.id, question);
    });
    if (!kept) co_return std::unexpected(kept.error());
    if (!*kept) remarks.emplace_back("only the oldest messages of the safety net were looked at");
  }
  std::ranges::sort(found, std::greater{});
  if (found.size() > question.limit) found.resize(question.limit);
  co_return found;
}

}  // namespace umbra::hub
