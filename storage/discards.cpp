#include "storage/discards.h"

#include "storage/encoding.h"

namespace umbra::storage {
namespace {

constexpr int counter_bits = 48;
constexpr std::uint64_t counter_max = (std::uint64_t{1} << counter_bits) - 1;

std::uint64_t first_key(std::int64_t slot) {
  return static_cast<std::uint64_t>(slot) << counter_bits;
}

}  // namespace

std::int64_t Discards::slot_of(const Holder& holder) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::int64_t slot = 0;
    bool renamed = false;
    {
      auto rows = slot_.rows(holder.spool.value);
      if (rows.next()) {
        slot = rows.number(0);
        renamed = rows.octets(1) != holder.hub;
      }
    }
    if (slot != 0) {
      if (renamed) rename_slot_.run(slot, holder.hub);
      return slot;
    }
    add_slot_.run(holder.spool.value, holder.hub);
  }
  return 0;
}

void Discards::owe(const Holder& holder, MessageId id, Generation generation,
                   const std::vector<std::uint32_t>& recipients, const std::vector<std::uint64_t>& forks,
                   Counts& counts) {
  add(holder, id, generation, recipients.empty() ? Word::all : Word::some, recipients, forks, counts);
}

void Discards::owe_superseded(const Holder& holder, MessageId id, Generation generation, Counts& counts) {
  add(holder, id, generation, Word::superseded, {}, {}, counts);
}

void Discards::add(const Holder& holder, MessageId id, Generation generation, Word word,
                   const std::vector<std::uint32_t>& recipients, const std::vector<std::uint64_t>& forks,
                   Counts& counts) {
  if (holder.spool.value == 0) return;
  auto slot = slot_of(holder);
  if (slot == 0) return;  // a failure stuck
  if (counter_ == 0) {
    auto rows = newest_.rows();
    if (!rows.next()) return;
    counter_ = rows.unsigned_number(0);
  }
  // Never the same key twice in one process, rolled back or not: a confirmation that is late must not meet
  // another item.
  UMBRA_ASSERT(counter_ < counter_max);
  auto key = first_key(slot) | ++counter_;
  std::string list = recipients.empty() ? std::string() : encode_indexes(recipients);
  std::optional<Blob> list_column;
  if (!recipients.empty()) list_column = Blob{list};
  insert_.run(key, id.spool.value, id.number, generation.value, static_cast<int>(word), !forks.empty(),
              list_column);
  for (auto fork : forks) insert_fork_.run(key, fork);
  ++counts.outbox;
}

void Discards::confirmed(std::uint64_t key, Counts& counts) {
  bool forked = false;
  {
    auto rows = remove_.rows(key);
    if (!rows.next()) return;
    forked = rows.number(0) != 0;
    rows.next();
  }
  if (forked) remove_forks_.run(key);
  --counts.outbox;
}

void Discards::confirmed_by(SpoolId spool, std::span<const std::uint64_t> keys, Counts& counts) {
  std::uint64_t slot = 0;
  {
    auto rows = slot_.rows(spool.value);
    if (!rows.next()) return;
    slot = rows.unsigned_number(0);
  }
  for (auto key : keys)
    if (key >> counter_bits == slot) confirmed(key, counts);
}

void Discards::forget_spool(SpoolId spool, Counts& counts) {
  std::int64_t slot = 0;
  {
    auto rows = slot_.rows(spool.value);
    if (!rows.next()) return;
    slot = rows.number(0);
  }
  counts.outbox -= remove_range_.run(first_key(slot), first_key(slot) | counter_max);
  remove_fork_range_.run(first_key(slot), first_key(slot) | counter_max);
  remove_slot_.run(slot);
}

void Discards::remember(const PeerMemory& peer) {
  remember_.run(peer.hub, peer.spool.value, peer.epoch.value, peer.sequence.value);
}

void Discards::forget(const std::string& hub) {
  forget_peer_.run(hub);
}

void Discards::set_note(const std::string& name, const std::string& value) {
  if (value.empty())
    remove_note_.run(name);
  else
    set_note_.run(name, value);
}

std::string Discards::note(const std::string& name) {
  auto rows = note_.rows(name);
  return rows.next() ? std::string(rows.octets(0)) : std::string();
}

std::optional<Generation> Discards::done(MessageId id) {
  auto rows = done_.rows(id.spool.value, id.number);
  if (!rows.next()) return std::nullopt;
  return Generation{static_cast<std::uint32_t>(rows.number(0))};
}

std::optional<Generation> Discards::superseded(MessageId id) {
  auto rows = superseded_.rows(id.spool.value, id.number);
  if (!rows.next()) return std::nullopt;
  return Generation{static_cast<std::uint32_t>(rows.number(0))};
}

void Discards::superseded_is_done(MessageId id) {
  superseded_is_done_.run(id.spool.value, id.number);
}

bool Discards::is_held_back(MessageId id) {
  return held_back_.rows(id.spool.value, id.number).next();
}

std::vector<OutboxItem> Discards::list(SpoolId to, std::uint64_t after_key, std::size_t limit) {
  std::vector<OutboxItem> result;
  std::int64_t slot = 0;
  std::string hub;
  {
    auto rows = slot_.rows(to.value);
    if (!rows.next()) return result;
    slot = rows.number(0);
    hub = rows.octets(1);
  }
  auto rows =
      list_.rows(std::max(after_key, first_key(slot)), first_key(slot) | counter_max, std::uint64_t{limit});
  while (rows.next()) {
    OutboxItem item;
    item.key = rows.unsigned_number(0);
    item.hub = hub;
    item.spool = to;
    item.id = {SpoolId{rows.unsigned_number(1)}, rows.unsigned_number(2)};
    item.generation.value = static_cast<std::uint32_t>(rows.number(3));
    auto word = static_cast<Word>(rows.number(4));
    item.all = word == Word::all;
    item.superseded = word == Word::superseded;
    if (!rows.is_null(5)) {
      auto recipients = decode_indexes(rows.octets(5));
      if (!recipients) {
        database_.fail(SQLITE_CORRUPT, "outbox item");
        break;
      }
      item.recipients = std::move(*recipients);
    }
    result.push_back(std::move(item));
  }
  return result;
}

std::vector<std::pair<std::string, SpoolId>> Discards::spools() {
  std::vector<std::pair<std::string, SpoolId>> result;
  auto rows = slots_.rows();
  while (rows.next()) {
    auto slot = rows.number(0);
    auto visible = list_.rows(first_key(slot), first_key(slot) | counter_max, 1);
    if (visible.next()) result.emplace_back(std::string(rows.octets(2)), SpoolId{rows.unsigned_number(1)});
  }
  return result;
}

std::vector<PeerMemory> Discards::peers() {
  std::vector<PeerMemory> result;
  auto rows = peers_.rows();
  while (rows.next()) {
    result.push_back({std::string(rows.octets(0)), SpoolId{rows.unsigned_number(1)},
                      Epoch{rows.unsigned_number(2)}, Sequence{rows.unsigned_number(3)}});
  }
  return result;
}

}  // namespace umbra::storage
