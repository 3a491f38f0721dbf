#include "storage/kept.h"

#include "base/octets.h"
#include "storage/encoding.h"

namespace umbra::storage {
namespace {

constexpr std::uint64_t page_octets = 4096;
constexpr std::uint64_t row_octets = 256;  // columns, keys, the index
/// A message for which more would have to go at once is not kept itself: a commit never takes long because of
/// the net.
constexpr std::size_t rows_per_message_max = 256;

/// What the database needs for it, about: the body in whole pages.
std::uint64_t octets_needed(std::uint64_t size, std::size_t envelope_octets, std::size_t delivered_octets) {
  return (size + page_octets - 1) / page_octets * page_octets + envelope_octets + delivered_octets +
         row_octets;
}

}  // namespace

std::string encode_kept_recipients(const std::vector<KeptRecipient>& recipients) {
  std::string out;
  put_number(out, recipients.size());
  for (const auto& recipient : recipients) {
    put_number(out, recipient.index);
    put_string(out, recipient.next_hop);
    put_string(out, recipient.reply);
  }
  return out;
}

std::optional<std::vector<KeptRecipient>> decode_kept_recipients(std::string_view octets) {
  OctetReader reader(octets);
  auto count = reader.number();
  if (!reader.ok() || count > octets.size()) return std::nullopt;
  std::vector<KeptRecipient> list;
  list.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    KeptRecipient recipient;
    auto index = reader.number();
    recipient.index = static_cast<std::uint32_t>(index);
    recipient.next_hop = reader.string();
    recipient.reply = reader.string();
    if (!reader.ok() || index > UINT32_MAX) return std::nullopt;
    list.push_back(std::move(recipient));
  }
  if (!reader.at_end()) return std::nullopt;
  return list;
}

bool Kept::keep(const KeptMessage& message, Counts& counts, Bodies& bodies) {
  if (!limits_.enabled()) return false;
  auto envelope = encode_sealed(message.envelope);
  auto delivered = encode_kept_recipients(message.delivered);
  auto octets = octets_needed(message.size, envelope.size(), delivered.size());
  if (gives_way_) {
    ++counts.kept_gone_disk;
    return false;
  }
  auto fits = [&] { return static_cast<std::uint64_t>(counts.kept_octets) + octets <= limits_.octets_max; };
  for (std::size_t gone = 0; octets <= limits_.octets_max && !fits() && gone < rows_per_message_max; ++gone) {
    auto oldest = find_oldest();
    if (!oldest) break;
    remove(*oldest, counts.kept_gone_size, counts, bodies);
  }
  if (!fits()) {
    ++counts.kept_gone_size;
    return false;
  }
  insert_.run(message.row.value, to_column(message.ended_at), message.is_shadow, message.id.spool.value,
              message.id.number, message.generation.value, message.owner_spool.value, message.owner_hub,
              message.size, octets, Blob{delivered}, Blob{envelope});
  ++counts.kept;
  counts.kept_octets += static_cast<std::int64_t>(octets);
  return true;
}

std::optional<Kept::Oldest> Kept::find_oldest() {
  auto rows = first_.rows();
  if (!rows.next()) return std::nullopt;
  return Oldest{RowId{rows.number(0)}, time_from_column(rows.number(1)), rows.unsigned_number(2),
                rows.unsigned_number(3)};
}

void Kept::remove(const Oldest& oldest, std::int64_t& reason, Counts& counts, Bodies& bodies) {
  remove_.run(oldest.row.value);
  bodies.remove(oldest.row, oldest.size);
  --counts.kept;
  counts.kept_octets -= static_cast<std::int64_t>(oldest.octets);
  ++reason;
}

std::size_t Kept::trim(WallTime ended_before, std::size_t rows_max, Counts& counts, Bodies& bodies) {
  std::size_t gone = 0;
  for (; gone < rows_max; ++gone) {
    auto oldest = find_oldest();
    if (!oldest) break;
    bool is_over = static_cast<std::uint64_t>(counts.kept_octets) > limits_.octets_max;
    if (!is_over && oldest->ended_at >= ended_before) break;
    remove(*oldest, is_over && limits_.enabled() ? counts.kept_gone_size : counts.kept_gone_age, counts,
           bodies);
  }
  return gone;
}

std::size_t Kept::give_way(std::size_t rows_max, Counts& counts, Bodies& bodies) {
  std::size_t gone = 0;
  for (; gone < rows_max; ++gone) {
    auto oldest = find_oldest();
    if (!oldest) break;
    remove(*oldest, counts.kept_gone_disk, counts, bodies);
  }
  return gone;
}

std::optional<KeptMessage> Kept::read(const Statement::Rows& rows) {
  KeptMessage message;
  message.row = RowId{rows.number(0)};
  message.ended_at = time_from_column(rows.number(1));
  message.is_shadow = rows.number(2) != 0;
  message.id = {SpoolId{rows.unsigned_number(3)}, rows.unsigned_number(4)};
  message.generation.value = static_cast<std::uint32_t>(rows.number(5));
  message.owner_spool.value = rows.unsigned_number(6);
  message.owner_hub = rows.octets(7);
  message.size = rows.unsigned_number(8);
  message.octets = rows.unsigned_number(9);
  auto delivered = decode_kept_recipients(rows.octets(10));
  auto envelope = decode_sealed(rows.octets(11));
  if (!delivered || !envelope) {
    database_.fail(SQLITE_CORRUPT, "kept row");
    return std::nullopt;
  }
  message.delivered = std::move(*delivered);
  message.envelope = std::move(*envelope);
  return message;
}

std::vector<KeptMessage> Kept::list(WallTime from, RowId after, WallTime until, std::size_t limit) {
  std::vector<KeptMessage> result;
  auto rows = list_.rows(to_column(from), after.value, to_column(until), std::uint64_t{limit});
  while (rows.next()) {
    auto message = read(rows);
    if (!message) break;
    result.push_back(std::move(*message));
  }
  return result;
}

std::optional<KeptMessage> Kept::load(RowId row) {
  auto rows = one_.rows(row.value);
  return rows.next() ? read(rows) : std::nullopt;
}

std::optional<WallTime> Kept::oldest() {
  auto found = find_oldest();
  return found ? std::optional(found->ended_at) : std::nullopt;
}

// ---- requests to send it again

void Kept::put(const Resend& resend) {
  put_.run(resend.request, resend.filter, static_cast<int>(resend.state), to_column(resend.begun_at),
           to_column(resend.changed_at), to_column(resend.reached_at), resend.reached_row.value,
           resend.looked_at, resend.resent, resend.resent_octets, resend.shadows_left_out, resend.failed,
           resend.why);
  if (resend.state != Resend::State::running) forget_old_.run();
}

std::vector<Resend> Kept::read_resends(Statement::Rows rows) {
  std::vector<Resend> result;
  while (rows.next()) {
    Resend resend;
    resend.request = rows.octets(0);
    resend.filter = rows.octets(1);
    auto state = rows.number(2);
    if (state < 0 || state > static_cast<std::int64_t>(Resend::State::cancelled)) {
      database_.fail(SQLITE_CORRUPT, "resend row");
      break;
    }
    resend.state = static_cast<Resend::State>(state);
    resend.begun_at = time_from_column(rows.number(3));
    resend.changed_at = time_from_column(rows.number(4));
    resend.reached_at = time_from_column(rows.number(5));
    resend.reached_row = RowId{rows.number(6)};
    resend.looked_at = rows.unsigned_number(7);
    resend.resent = rows.unsigned_number(8);
    resend.resent_octets = rows.unsigned_number(9);
    resend.shadows_left_out = rows.unsigned_number(10);
    resend.failed = rows.unsigned_number(11);
    resend.why = rows.octets(12);
    result.push_back(std::move(resend));
  }
  return result;
}

std::optional<Resend> Kept::resend(const std::string& request) {
  auto found = read_resends(resend_.rows(request));
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<Resend> Kept::resends(std::size_t limit) {
  return read_resends(resends_.rows(std::uint64_t{limit}));
}

}  // namespace umbra::storage
