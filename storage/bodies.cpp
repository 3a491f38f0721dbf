#include "storage/bodies.h"

#include <algorithm>

#include "base/checksum.h"

namespace umbra::storage {
namespace {

constexpr std::uint64_t large_body_octets = 1 << 20;
constexpr std::int64_t piece_octets = 1 << 20;

}  // namespace

void Bodies::put(RowId body, std::uint32_t number, std::string_view octets) {
  if (number == 0) {
    put_first_.run(body.value, Blob{octets}, checksum(octets));
  } else {
    put_other_.run(body.value, number, Blob{octets}, checksum(octets));
  }
  if (std::ranges::find(claimed_now_, body) != claimed_now_.end()) return;
  if (put_now_.empty() || put_now_.back().body != body) put_now_.push_back({body, number == 0});
}

std::string Bodies::chunk(RowId body, std::uint32_t number) {
  return number == 0 ? checked(first_.rows(body.value)) : checked(other_.rows(body.value, number));
}

std::string Bodies::checked(Statement::Rows rows) {
  if (!rows.next()) return {};
  std::string octets(rows.octets(0));
  // Written by a version that made no checksums: it has none.
  if (rows.is_null(1) || rows.unsigned_number(1) == checksum(octets)) return octets;
  database_.fail(SQLITE_CORRUPT, "checksum of a body");
  return {};
}

void Bodies::claim(RowId body) {
  // A body that was begun in this very operation, which is every small one, cannot have been remembered
  // before.
  bool known =
      std::ranges::any_of(put_now_, [&](const Put& put) { return put.body == body && put.from_start; });
  std::erase_if(put_now_, [&](const Put& put) { return put.body == body; });
  if (!known) claim_.run(body.value);
  claimed_now_.push_back(body);
}

void Bodies::remove(RowId body, std::uint64_t size) {
  if (size > large_body_octets) {
    discard_.run(body.value);
    garbage_ = true;
    return;
  }
  remove_first_.run(body.value);
  remove_others_.run(body.value);
}

void Bodies::remove_unclaimed(RowId body) {
  std::erase_if(put_now_, [&](const Put& put) { return put.body == body; });
  claim_.run(body.value);
  discard_unclaimed_.run(body.value);
  garbage_ = true;
}

void Bodies::end_operation() {
  for (const auto& put : put_now_) remember_.run(put.body.value);
  begin_operation();
}

void Bodies::sweep_unfinished() {
  database_.execute(
      "INSERT OR IGNORE INTO garbage SELECT body FROM unfinished "
      "WHERE body NOT IN (SELECT row FROM messages) AND body NOT IN (SELECT row FROM shadows) "
      "AND body NOT IN (SELECT row FROM kept)");
  database_.execute("DELETE FROM unfinished");
}

bool Bodies::collect() {
  std::int64_t body = 0;
  {
    auto rows = next_garbage_.rows();
    if (!rows.next()) {
      if (database_.ok()) garbage_ = false;
      return false;
    }
    body = rows.number(0);
  }
  std::int64_t last = -1;
  std::int64_t octets = 0;
  {
    auto rows = piece_.rows(body);
    while (octets < piece_octets && rows.next()) {
      last = rows.number(0);
      octets += rows.number(1);
    }
  }
  if (last >= 0) {
    remove_piece_.run(body, last);
  } else {
    remove_first_.run(body);
    garbage_done_.run(body);
  }
  return database_.ok();
}

}  // namespace umbra::storage
