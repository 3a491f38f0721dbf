// Queries over a second, query_only connection: storage::Reader. Lives on the reader lane; each batch of
// queries is one read transaction that storage/spool.cpp begins and ends, so that none stays open and keeps
// the WAL from shrinking.
#pragma once

#include <utility>

#include "storage/bodies.h"
#include "storage/discards.h"
#include "storage/kept.h"
#include "storage/messages.h"
#include "storage/shadows.h"
#include "storage/suspects.h"

namespace umbra::storage {

class SpoolReader final : public Reader {
 public:
  /// `ledgers`: of the commits that it may see.
  SpoolReader(Database& database, SpoolId own, LedgerHistory& ledgers)
      : database_(database), ledgers_(ledgers), messages_(database, own) {}

  /// Answers everything with this error from now on; nullopt: with what is there.
  void refuse(std::optional<Error> error) { refusal_ = std::move(error); }
  /// A query found the database damaged; taken by the call.
  std::optional<Error> take_damage() { return std::exchange(damage_, std::nullopt); }

  Result<std::optional<StoredMessage>> message(RowId row) override;
  Result<WallClock::duration> held_for(RowId row, WallTime now) override;
  Result<std::optional<RowId>> find_message(MessageId id) override;
  Result<std::string> chunk(RowId body, std::uint32_t number) override;
  Result<std::vector<std::pair<std::string, WallTime>>> due_by_destination() override;
  Result<std::vector<DueMessage>> due(const std::string& destination, WallTime until, std::size_t limit,
                                      std::span<const RowId> skip) override;
  Result<std::vector<DueMessage>> due_behind(const DueMessage& place, WallTime until,
                                             std::size_t limit) override;
  Result<std::uint64_t> due_count(const std::string& destination, WallTime until) override;
  Result<std::vector<RowId>> alarms(WallTime until, std::size_t limit) override;
  Result<std::vector<RowId>> held(RowId after, std::size_t limit) override;
  Result<std::vector<RowId>> unprotected(RowId after, std::size_t limit) override;
  Result<std::vector<CopyElsewhere>> copies_missing(std::span<const SpoolId> heard, RowId after,
                                                    std::size_t limit) override;
  Result<std::vector<RowId>> handing_over(RowId after, std::size_t limit) override;
  Result<std::uint64_t> handing_over_count() override;
  Result<std::vector<RowId>> messages(RowId after, RowId before, std::size_t limit) override;
  Result<std::vector<RowId>> messages_held_by(SpoolId spool, RowId after, std::size_t limit) override;
  Result<std::uint64_t> copies_on(SpoolId spool) override;
  Result<std::vector<Shadow>> shadows(RowId after, std::size_t limit) override;
  Result<std::vector<Shadow>> shadows_of(SpoolId owner, RowId after, std::size_t limit) override;
  Result<std::vector<std::pair<std::string, SpoolId>>> shadow_owners() override;
  Result<std::optional<Shadow>> shadow(MessageId id) override;
  Result<Knowledge> lookup(MessageId id) override;
  Result<std::vector<OutboxItem>> outbox(SpoolId to, std::uint64_t after_key, std::size_t limit) override;
  Result<std::vector<std::pair<std::string, SpoolId>>> outbox_spools() override;
  Result<std::vector<PeerMemory>> peers() override;
  Result<std::vector<OwedNote>> notes_owed(SpoolId to, RowId after, std::size_t limit) override;
  Result<std::vector<Holder>> not_told(RowId row) override;
  Result<std::vector<Suspect>> suspects(std::size_t limit) override;
  Result<QueueCounts> counts() override;
  Result<Balance> balance() override;
  Result<std::vector<KeptMessage>> kept(WallTime from, RowId after, WallTime until,
                                        std::size_t limit) override;
  Result<std::optional<KeptMessage>> kept(RowId row) override;
  Result<std::optional<Resend>> resend(const std::string& request) override;
  Result<std::vector<Resend>> resends(std::size_t limit) override;
  Result<std::string> note(const std::string& name) override;

 private:
  /// The value, or the failure that stuck; each query begins anew.
  template <class Query>
  auto ask(Query query) -> Result<decltype(query())> {
    if (refusal_) return std::unexpected(*refusal_);
    database_.clear();
    auto value = query();
    if (!database_.ok()) {
      if (database_.is_damaged()) damage_ = database_.error();
      return std::unexpected(*database_.error());
    }
    return value;
  }
  Knowledge known(MessageId id);

  Database& database_;
  LedgerHistory& ledgers_;
  std::optional<Error> refusal_;
  std::optional<Error> damage_;
  Messages messages_;
  Shadows shadows_{database_};
  Discards discards_{database_};
  Suspects suspects_{database_};
  Bodies bodies_{database_};
  Kept kept_{database_};
  Statement sequence_{database_, "SELECT sequence, held FROM meta"};
  Statement counts_{database_,
                    "SELECT messages, held, unprotected, shadows, outbox, kept, kept_octets FROM meta"};
};

}  // namespace umbra::storage
