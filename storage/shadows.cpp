#include "storage/shadows.h"

#include "storage/encoding.h"

namespace umbra::storage {

void Shadows::insert(const Shadow& shadow, Counts& counts) {
  std::string note = shadow.note.is_empty() ? std::string() : encode_note(shadow.note);
  std::optional<Blob> note_column;
  if (!note.empty()) note_column = Blob{note};
  insert_.run(shadow.row.value, shadow.id.spool.value, shadow.id.number, shadow.generation.value,
              shadow.owner_spool.value, shadow.owner_epoch.value, shadow.owner_hub, shadow.size,
              Blob{encode_holders(shadow.offered)}, Blob{encode_indexes(shadow.done)},
              Blob{encode_sealed(shadow.envelope)}, note_column);
  ++counts.shadows;
}

void Shadows::offered_again(RowId row, const Shadow& shadow) {
  offered_.run(row.value, shadow.owner_epoch.value, shadow.owner_hub, Blob{encode_holders(shadow.offered)});
}

void Shadows::set_done(RowId row, const std::vector<std::uint32_t>& done) {
  done_.run(row.value, Blob{encode_indexes(done)});
}

void Shadows::set_note(RowId row, const MessageNote& note) {
  note_.run(row.value, Blob{encode_note(note)});
}

void Shadows::remove(RowId row, Counts& counts) {
  remove_.run(row.value);
  --counts.shadows;
}

std::optional<Shadow> Shadows::read(const Statement::Rows& rows, bool with_envelope) {
  Shadow shadow;
  shadow.row = RowId{rows.number(0)};
  shadow.id = {SpoolId{rows.unsigned_number(1)}, rows.unsigned_number(2)};
  shadow.generation.value = static_cast<std::uint32_t>(rows.number(3));
  shadow.owner_spool.value = rows.unsigned_number(4);
  shadow.owner_epoch.value = rows.unsigned_number(5);
  shadow.owner_hub = rows.octets(6);
  shadow.size = rows.unsigned_number(7);
  auto offered = decode_holders(rows.octets(8));
  auto done = decode_indexes(rows.octets(9));
  if (!offered || !done) {
    database_.fail(SQLITE_CORRUPT, "shadow row");
    return std::nullopt;
  }
  shadow.offered = std::move(*offered);
  shadow.done = std::move(*done);
  if (!rows.is_null(10)) {
    auto note = decode_note(rows.octets(10));
    if (!note) {
      database_.fail(SQLITE_CORRUPT, "note of a shadow");
      return std::nullopt;
    }
    shadow.note = std::move(*note);
  }
  if (with_envelope) {
    auto envelope = decode_sealed(rows.octets(11));
    if (!envelope) {
      database_.fail(SQLITE_CORRUPT, "envelope of a shadow");
      return std::nullopt;
    }
    shadow.envelope = std::move(*envelope);
  }
  return shadow;
}

std::vector<Shadow> Shadows::read_all(Statement::Rows rows) {
  std::vector<Shadow> result;
  while (rows.next()) {
    auto shadow = read(rows, true);
    if (!shadow) break;
    result.push_back(std::move(*shadow));
  }
  return result;
}

std::optional<Shadow> Shadows::find_row(MessageId id) {
  auto rows = row_.rows(id.spool.value, id.number);
  return rows.next() ? read(rows, false) : std::nullopt;
}

std::optional<Shadow> Shadows::load(MessageId id) {
  auto rows = one_.rows(id.spool.value, id.number);
  return rows.next() ? read(rows, true) : std::nullopt;
}

std::vector<std::pair<std::string, SpoolId>> Shadows::owners() {
  std::vector<std::pair<std::string, SpoolId>> result;
  auto take = [&result](Statement::Rows rows) {
    if (!rows.next()) return false;
    result.emplace_back(std::string(rows.octets(1)), SpoolId{rows.unsigned_number(0)});
    return true;
  };
  if (!take(first_owner_.rows())) return result;
  while (take(next_owner_.rows(result.back().second.value))) {
  }
  return result;
}

std::vector<Shadow> Shadows::list(RowId after, std::size_t limit) {
  return read_all(list_.rows(after.value, std::uint64_t{limit}));
}

std::vector<Shadow> Shadows::list_of(SpoolId owner, RowId after, std::size_t limit) {
  return read_all(list_of_.rows(owner.value, after.value, std::uint64_t{limit}));
}

}  // namespace umbra::storage
