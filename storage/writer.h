// The rules of what one change does to all tables: storage::Writer over one connection. Lives on the writer
// lane; group commit (storage/spool.cpp) puts transactions and savepoints around its operations.
#pragma once

#include <utility>

#include "storage/bodies.h"
#include "storage/discards.h"
#include "storage/kept.h"
#include "storage/messages.h"
#include "storage/shadows.h"
#include "storage/suspects.h"

namespace umbra::storage {

class SpoolWriter final : public Writer {
 public:
  SpoolWriter(Database& database, SpoolId own) : database_(database), own_(own), messages_(database, own) {}

  /// As of the operations so far; group commit stores them in `meta` and takes back those of what it rolled
  /// back.
  Counts counts;

  Bodies& bodies() { return bodies_; }
  /// The file is shorter after the next checkpoint, and the room is needed. Taken by the call.
  bool take_checkpoint_wish() { return std::exchange(wants_checkpoint_, false); }
  void set_safety_net(const SafetyNetLimits& limits) override { kept_.set_limits(limits); }

  Result<void> put_chunk(RowId body, std::uint32_t number, std::string_view octets) override;
  Result<void> drop_body(RowId body) override;
  Result<void> insert_message(const NewMessage& message) override;
  Result<void> forget_message(RowId row) override;
  Result<AttemptEffect> record_attempt(const AttemptRecord& record) override;
  Result<void> finish_message(RowId row, std::optional<RowId> fork, SpoolId except, Left how) override;
  Result<void> set_holders(RowId row, const std::vector<Holder>& holders, bool is_protected) override;
  Result<void> change_holders(RowId row, const std::function<void(std::vector<Holder>&)>& change) override;
  Result<void> set_generation(RowId row, Generation generation) override;
  Result<void> set_state(RowId row, MessageState state, const std::vector<QueueEntry>& queue) override;
  Result<void> bring_forward(RowId row, const QueueEntry& as_it_was, WallTime due) override;
  Result<void> set_queue(RowId row, const std::vector<QueueEntry>& queue) override;
  Result<void> set_next_hop(RowId row, const std::string& next_hop,
                            const std::vector<QueueEntry>& queue) override;
  Result<bool> insert_shadow(const Shadow& shadow) override;
  Result<Discarded> apply_discard(const OutboxItem& item, SpoolId from) override;
  Result<bool> finish_shadow(MessageId id, Generation up_to) override;
  Result<bool> release_shadow(MessageId id, Generation up_to) override;
  Result<void> forget_shadow(MessageId id, Generation generation) override;
  Result<void> follow_owner(MessageId id, Generation up_to, const Owner& owner) override;
  using Writer::take_over;
  Result<void> take_over(const NewMessage& message, MessageNote* applied) override;
  Result<NoteAnswer> note_shadow(MessageId id, Generation generation, SpoolId owner,
                                 const MessageNote& note) override;
  Result<void> note_told(RowId row, SpoolId holder, std::uint32_t number) override;
  Result<void> owe_note(RowId row, SpoolId holder) override;
  Result<void> cede(RowId row, Generation generation, const std::string& owner_hub, SpoolId owner_spool,
                    Epoch owner_epoch) override;
  Result<void> begin_hand_over(RowId row, const Holder& receiver) override;
  Result<void> end_hand_over(RowId row, Generation generation, const Holder& owner, Epoch owner_epoch,
                             HandOverEnd how) override;
  Result<void> take_back(RowId row, Generation generation, bool receiver_may_have_it) override;
  Result<HandedOver> accept_hand_over(const NewMessage& message, bool is_held) override;
  Result<void> outbox_confirmed(std::span<const std::uint64_t> keys) override;
  Result<void> outbox_confirmed_by(SpoolId spool, std::span<const std::uint64_t> keys) override;
  Result<void> outbox_forget_spool(SpoolId spool) override;
  Result<void> remember_peer(const PeerMemory& peer) override;
  Result<void> forget_peer(const std::string& hub) override;
  Result<bool> suspect(MessageId id, std::uint32_t crashes, SpoolId owner) override;
  Result<void> forget_suspect(MessageId id) override;
  Result<void> set_note(const std::string& name, const std::string& value) override;
  Result<std::size_t> trim_kept(WallTime ended_before, std::size_t rows_max) override;
  Result<std::size_t> give_way(std::size_t rows_max) override;
  Result<void> keep_again() override;
  Result<void> put_resend(const Resend& resend) override;

 private:
  /// Loads a row, lets `change` edit it, writes it back.
  template <class Change>
  Result<void> change_message(RowId row, const char* operation, Change change);
  /// Removes message and body, or keeps them in the safety net; discard status goes to its holders but
  /// `except`. `last`: outcomes that ended every recipient at once, and were not recorded.
  void end_message(const MessageRow& message, std::vector<std::uint64_t> forks, SpoolId except, Left how,
                   const std::vector<RecipientOutcome>& last = {});
  /// What is to be kept of a message that ends; nothing: none of its recipients was delivered, or it was sent
  /// from the net.
  std::optional<KeptMessage> to_keep(const MessageRow& message, SpoolId except,
                                     const std::vector<RecipientOutcome>& last);
  /// The row is gone: what becomes of its body.
  void keep_or_remove(const std::optional<KeptMessage>& kept, RowId row, std::uint64_t size);
  /// Message and queue entries go, the body becomes that of a shadow held for `owner`.
  enum class Owed : std::uint8_t { nobody, all_but_owner, all };  ///< of its holders, by us
  void keep_as_shadow(const MessageRow& message, Generation generation, const Holder& owner,
                      Epoch owner_epoch, Owed owed, Left how);
  void hold(RowId row);
  static std::vector<OwnerRecord> known_history(const Shadow& shadow, WallTime accepted_at);
  void owe_superseded(const MessageRow& message, SpoolId except);
  /// A later owner has it: message and body are gone from here, and the holders but `except` are told that
  /// their copies are superseded.
  void leave_to_later_owner(const MessageRow& message, SpoolId except, Left how);
  void owe_all(const MessageRow& message, const std::vector<std::uint32_t>& recipients,
               const std::vector<std::uint64_t>& forks, SpoolId except);
  void pass_on(const Shadow& shadow, const std::vector<std::uint32_t>& recipients, SpoolId from);
  void remove_shadow(const Shadow& shadow, SpoolId from);
  /// Its message is done: removed, or kept in the safety net.
  void end_shadow(const Shadow& shadow, SpoolId from);

  Database& database_;
  const SpoolId own_;
  Messages messages_;
  Shadows shadows_{database_};
  Discards discards_{database_};
  Suspects suspects_{database_};
  Bodies bodies_{database_};
  Kept kept_{database_};
  bool wants_checkpoint_ = false;
};

}  // namespace umbra::storage
