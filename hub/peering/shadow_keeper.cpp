#include "hub/peering/shadow_keeper.h"

#include <algorithm>
#include <set>

#include "hub/logs/tracking_log.h"
#include "storage/spool_error.h"

namespace umbra::hub {
namespace {

storage::OutboxItem to_item(const smtp::DiscardItem& d) {
  storage::OutboxItem item;
  item.id = d.id;
  item.generation = d.generation;
  item.all = d.all;
  item.recipients = d.recipients;
  item.superseded = d.superseded;
  return item;
}

}  // namespace

smtp::Reply spool_failure_reply(const Error& error) {
  if (error.code == std::errc::no_space_on_device) return {452, "4.3.1", "Insufficient system storage"};
  return {451, "4.3.0", "The spool cannot take it now"};
}

ShadowKeeper::ShadowKeeper(const Config& config, storage::Spool& spool, Members& members,
                           PendingMessages& pending, EventLog& log, Metrics& metrics, asio::io_context& io)
    : config_(config),
      spool_(spool),
      members_(members),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      quiet_(io) {}

void ShadowKeeper::write(storage::Spool::WriteJob job, std::size_t octets,
                         std::function<void(Result<void>)> done) {
  ++under_way_;
  spool_.write(std::move(job), octets, [this, done = std::move(done)](Result<void> result) {
    done(std::move(result));
    end_operation();
  });
}

void ShadowKeeper::end_operation() {
  if (--under_way_ == 0) quiet_.set();
}

Task<void> ShadowKeeper::quiet() {
  while (under_way_ != 0) co_await quiet_.wait();
}

void ShadowKeeper::delivered(MessageId id, Generation generation) {
  if (generation == Generation{1}) return;
  delivered_.note(id, generation);
  buried_.note(id, generation);  // a copy of an earlier owner may lie unread in a session
}

void ShadowKeeper::count_second_copy(const Peer& peer, const smtp::DiscardItem& item) {
  if (!item.all || item.superseded) return;
  auto ours = delivered_.find(item.id);
  if (!ours || item.generation >= *ours) return;
  delivered_.forget(item.id);
  ++metrics_.possible_duplicates_total;
  log_.message(MessageEvent::possible_duplicate, item.id,
               {{"reason", "an earlier owner had delivered it too, and could not say so in time"},
                {"owner", peer.hub}});
}

std::optional<smtp::Reply> ShadowKeeper::refuse(const Peer& peer, const smtp::CopyOffer& offer) {
  auto* member = members_.find(peer.hub);
  if (member == nullptr || !member->identity || member->identity->spool != peer.spool ||
      peer.epoch < member->identity->epoch)
    return smtp::Reply{554, "5.7.0", "Epoch " + std::to_string(peer.epoch.value) + " is over"};
  if (auto buried = buried_.find(offer.id); buried && offer.generation <= *buried)
    return smtp::Reply{550, "5.5.0", "This message was discarded"};
  if (is_refusing_) return smtp::Reply{452, "4.3.2", "This hub is being drained"};
  // Half of the reserve is for shadows: a hub that takes no more mail of its own still protects that of its
  // peers.
  if (spool_.free_octets() < config_.spool.reserve_octets / 2 + offer.body_octets)
    return smtp::Reply{452, "4.3.1", "Insufficient system storage"};
  return std::nullopt;
}

Result<storage::Shadow> ShadowKeeper::make_shadow(const Peer& peer, const smtp::CopyOffer& offer) {
  auto envelope = decode_envelope(offer.envelope);
  if (!envelope) return std::unexpected(envelope.error());
  storage::Shadow shadow;
  shadow.row = spool_.next_row();
  shadow.id = offer.id;
  shadow.generation = offer.generation;
  shadow.owner_hub = peer.hub;
  shadow.owner_spool = peer.spool;
  shadow.owner_epoch = peer.epoch;
  shadow.envelope = std::move(*envelope);
  shadow.size = offer.body_octets;
  for (const auto& [hub, spool] : offer.offered)
    shadow.offered.push_back({hub, spool, storage::Holder::State::offered});
  shadow.done = offer.done;
  shadow.note = offer.note;
  if (!shadow.done.empty() && shadow.done.back() >= shadow.envelope.recipients.size())
    return failure(std::errc::bad_message, "XCOPY: a finished recipient that is not there");
  return shadow;
}

ShadowKeeper::Tracked ShadowKeeper::tracked_of(const storage::Shadow& shadow) const {
  if (!log_.keeps_tracking()) return {};
  return {shadow.envelope.sender, addresses_for_tracking(shadow.envelope.recipients),
          shadow.envelope.client_address, shadow.size};
}

void ShadowKeeper::log_stored(MessageId id, const std::string& owner, const Tracked& tracked) {
  log_.message(MessageEvent::shadow_stored, id,
               {{"owner", owner},
                {"sender", tracked.sender, true},
                {"to", tracked.recipients, true},
                {"original_client", tracked.client, true},
                {"size", static_cast<std::int64_t>(tracked.size), true}});
}

void ShadowKeeper::store(const Peer& peer, smtp::CopyOffer offer, ReplySlotPtr slot) {
  if (auto reply = refuse(peer, offer)) return slot->answer(*reply);
  if (offer.body.size() != offer.body_octets)
    return slot->answer({501, "5.5.4", "XCOPY: the body has another size"});
  auto shadow = make_shadow(peer, offer);
  if (!shadow) return slot->answer({501, "5.5.4", shadow.error().what});
  auto id = shadow->id;
  auto octets = offer.body.size() + offer.envelope.size();
  auto owner = peer.hub;
  auto tracked = tracked_of(*shadow);
  write(
      [shadow = std::move(*shadow), body = std::move(offer.body)](storage::Writer& w) -> Result<void> {
        auto inserted = w.insert_shadow(shadow);
        if (!inserted) return std::unexpected(inserted.error());
        if (!*inserted) return {};
        return w.put_chunk(shadow.row, 0, body);
      },
      octets,
      [this, id, owner, tracked = std::move(tracked), slot](Result<void> result) {
        if (result) {
          ++metrics_.shadows_stored_total;
          log_stored(id, owner, tracked);
          return slot->answer({250, "2.6.0", to_string(id) + " held"});
        }
        if (result.error().code == std::errc::file_exists) return refuse_other_owner(id, *slot);
        if (storage::may_have_been_kept(result.error()))
          return;  // no refusal would be true: this run ends, and its sessions
        slot->answer(spool_failure_reply(result.error()));
      });
}

// Where that owner is this hub, the one that offers may know better.
void ShadowKeeper::refuse_other_owner(MessageId id, ReplySlot& slot) {
  slot.answer({550, "5.5.0", "This hub knows a later owner of the message"});
  doubt_(id);
}

std::optional<smtp::Reply> ShadowKeeper::begin(const Peer& peer, const smtp::CopyOffer& offer,
                                               Stream& stream) {
  if (auto reply = refuse(peer, offer)) return reply;
  if (offer.part == smtp::CopyOffer::Part::begin) {
    stream = Stream{{}, 0, 0, std::make_shared<bool>(false), true, nullptr};
    stream.shadow.row = spool_.next_row();
    stream.shadow.id = offer.id;
    stream.shadow.generation = offer.generation;
    return std::nullopt;
  }
  auto shadow = make_shadow(peer, offer);
  if (!shadow) return smtp::Reply{501, "5.5.4", shadow.error().what};
  stream = Stream{};
  stream.shadow = std::move(*shadow);
  stream.has_failed = std::make_shared<bool>(false);
  return std::nullopt;
}

void ShadowKeeper::append(const Peer& peer, Stream& stream, std::string octets, bool last,
                          ReplySlotPtr slot) {
  if (*stream.has_failed) {  // a piece is missing
    if (last) give_up(stream);
    return slot->answer({451, "4.3.0", "A piece of this copy was refused"});
  }
  stream.received += octets.size();
  if (stream.is_early && spool_.free_octets() < config_.spool.reserve_octets / 2 + octets.size()) {
    *stream.has_failed = true;
    return slot->answer({452, "4.3.1", "Insufficient system storage"});
  }
  bool has_wrong_size = stream.is_early ? last
                                        : stream.received > stream.shadow.size ||
                                              (last && stream.received != stream.shadow.size);
  if (has_wrong_size) {
    *stream.has_failed = true;
    if (last) give_up(stream);
    return slot->answer({501, "5.5.4", "XCHUNK: the body has another size"});
  }
  auto number = stream.next_chunk++;
  auto row = stream.shadow.row;
  auto size = octets.size();
  if (!last) {
    return write([row, number, octets = std::move(octets)](
                     storage::Writer& w) { return w.put_chunk(row, number, octets); },
                 size,
                 [slot, has_failed = stream.has_failed](Result<void> result) {
                   if (result) return slot->answer({250, "2.0.0", "Go on"});
                   *has_failed = true;
                   slot->answer(spool_failure_reply(result.error()));
                 });
  }
  if (stream.finish) return stream.finish(number, std::move(octets), std::move(slot));
  // The end: the chunk and the shadow in one commit. A copy that was here already needs no second body.
  smtp::CopyOffer offer;
  offer.id = stream.shadow.id;
  offer.generation = stream.shadow.generation;
  if (auto reply = refuse(peer, offer)) {
    give_up(stream);
    return slot->answer(*reply);
  }
  commit_copy(peer, stream, number, std::move(octets), std::move(slot));
}

void ShadowKeeper::end(const Peer& peer, Stream stream, const smtp::CopyOffer& offer, ReplySlotPtr slot) {
  std::optional<smtp::Reply> wrong = refuse(peer, offer);
  if (*stream.has_failed) wrong = {451, "4.3.0", "A piece of this copy was refused"};
  if (!wrong && (offer.body_octets != stream.received + offer.body.size() || offer.body_octets == 0 ||
                 offer.generation != stream.shadow.generation))
    wrong = {501, "5.5.4", "XCOPY END: not what was begun"};
  auto shadow = make_shadow(peer, offer);
  if (!wrong && !shadow) wrong = {501, "5.5.4", shadow.error().what};
  if (wrong) {
    give_up(stream);
    return slot->answer(*wrong);
  }
  shadow->row = stream.shadow.row;
  stream.shadow = std::move(*shadow);
  auto number = stream.next_chunk;
  commit_copy(peer, std::move(stream), number, offer.body, std::move(slot));
}

void ShadowKeeper::commit_copy(const Peer& peer, Stream stream, std::uint32_t number, std::string octets,
                               ReplySlotPtr slot) {
  auto size = octets.size() + 256;
  write(
      [shadow = stream.shadow, number, octets = std::move(octets)](storage::Writer& w) -> Result<void> {
        auto inserted = w.insert_shadow(shadow);
        if (!inserted) return std::unexpected(inserted.error());
        if (!*inserted) return w.drop_body(shadow.row);
        return octets.empty() ? Result<void>{} : w.put_chunk(shadow.row, number, octets);
      },
      size,
      [this, stream, owner = peer.hub, slot](Result<void> result) {
        if (result) {
          ++metrics_.shadows_stored_total;
          log_stored(stream.shadow.id, owner, tracked_of(stream.shadow));
          return slot->answer({250, "2.6.0", to_string(stream.shadow.id) + " held"});
        }
        give_up(stream);
        if (result.error().code == std::errc::file_exists) return refuse_other_owner(stream.shadow.id, *slot);
        if (storage::may_have_been_kept(result.error()))
          return;  // no refusal would be true: this run ends, and its sessions
        slot->answer(spool_failure_reply(result.error()));
      });
}

void ShadowKeeper::give_up(const Stream& stream) {
  write([row = stream.shadow.row](storage::Writer& w) { return w.drop_body(row); }, 64,
        [](const Result<void>&) {});
}

bool ShadowKeeper::is_over(const Stream& stream) const {
  auto buried = buried_.find(stream.shadow.id);
  return *stream.has_failed || (buried && stream.shadow.generation <= *buried);
}

void ShadowKeeper::forget(const Peer& peer, MessageId id, Generation generation, ReplySlotPtr slot) {
  // Only whoever accepts a message, this moment, takes its copies back. Everybody else ends one by XDONE.
  if (id.spool != peer.spool) return slot->answer({550, "5.7.1", "Not a message of yours"});
  buried_.note(id, generation);
  write([id, generation](storage::Writer& w) { return w.forget_shadow(id, generation); }, 64,
        [this, id, slot](Result<void> result) {
          if (!result && result.error().code == std::errc::file_exists)
            return slot->answer({550, "5.5.0", "This hub has taken the message over"});
          if (!result) return slot->answer(spool_failure_reply(result.error()));
          log_.message(MessageEvent::forgotten, id, {{"reason", "its owner did not accept it", true}});
          slot->answer({250, "2.0.0", to_string(id) + " forgotten"});
        });
}

void ShadowKeeper::discard(const Peer& peer, std::vector<smtp::DiscardItem> items, ReplySlotPtr slot) {
  for (const auto& item : items)
    if (item.all)
      buried_.note(
          item.id,
          Generation{UINT32_MAX});  // done is done, whatever generation a copy that is still unread is of
    else if (item.superseded)
      buried_.note(item.id, item.generation);
  auto outcomes = std::make_shared<std::vector<storage::Discarded>>();
  auto shared = std::make_shared<std::vector<smtp::DiscardItem>>(std::move(items));
  write(
      [shared, outcomes, peer](storage::Writer& w) -> Result<void> {
        outcomes->clear();
        for (const auto& item : *shared) {
          auto outcome = w.apply_discard(to_item(item), peer.spool);
          if (!outcome) return std::unexpected(outcome.error());
          outcomes->push_back(*outcome);
        }
        return {};
      },
      shared->size() * 64,
      [this, shared, outcomes, peer, slot](Result<void> result) {
        if (!result) return slot->answer(spool_failure_reply(result.error()));
        metrics_.discards_received_total += shared->size();
        for (const auto& item : *shared) count_second_copy(peer, item);
        outbox_grew_();  // passed on to hubs that got their copy from this one
        for (std::size_t i = 0; i < shared->size(); ++i) {
          const auto& item = (*shared)[i];
          const auto& outcome = (*outcomes)[i];
          if (outcome.ended) end_delivery(item.id, *outcome.ended);
          // Said once: the same status may come again, or from two hubs, or behind an audit that has dropped
          // the copy.
          if (outcome.ended || outcome.copy_dropped)
            log_.message(MessageEvent::discarded, item.id, {{"owner", peer.hub, true}});
        }
        slot->answer({250, "2.0.0", std::to_string(shared->size()) + " discarded"});
      });
}

// A final dot may be on its way: what its reply says cannot be recorded any more.
void ShadowKeeper::end_delivery(MessageId id, RowId row) {
  if (outbound_ == nullptr) return;
  if (outbound_->awaits_final_reply(row)) {
    ++metrics_.possible_duplicates_total;
    log_.message(MessageEvent::possible_duplicate, id,
                 {{"reason", "ended by another hub while the reply to its final dot was awaited"}});
  }
  outbound_->forget(row);
}

void ShadowKeeper::poll(const Peer& peer, std::uint64_t limit, ReplySlotPtr slot) {
  auto text = std::make_shared<std::string>();
  auto count = std::make_shared<std::size_t>(0);
  ++under_way_;
  spool_.read(
      [text, count, spool = peer.spool, limit](storage::Reader& r) {
        auto items = r.outbox(spool, 0, limit);
        if (!items) return;
        for (const auto& item : *items)
          *text += smtp::format_discard(
                       {item.key, item.id, item.generation, item.all, item.recipients, item.superseded}) +
                   '\n';
        *count = items->size();
      },
      [this, text, count, slot] {
        slot->answer({250, "2.0.0", *text + std::to_string(*count)});
        end_operation();
      });
}

void ShadowKeeper::suspect(const Peer& peer, std::vector<std::pair<MessageId, std::uint32_t>> suspects,
                           ReplySlotPtr slot) {
  auto shared = std::make_shared<std::vector<std::pair<MessageId, std::uint32_t>>>(std::move(suspects));
  auto octets = shared->size() * 32;
  write(
      [shared, owner = peer.spool](storage::Writer& w) -> Result<void> {
        std::vector<std::pair<MessageId, std::uint32_t>> held;
        for (const auto& [id, crashes] : *shared) {
          auto noted = w.suspect(id, crashes, owner);
          if (!noted) return std::unexpected(noted.error());
          if (*noted) held.emplace_back(id, crashes);
        }
        *shared = std::move(held);
        return {};
      },
      octets,
      [this, shared, slot](Result<void> result) {
        if (!result) return slot->answer(spool_failure_reply(result.error()));
        for (const auto& [id, crashes] : *shared)
          if (outbound_ != nullptr) outbound_->suspect(id, crashes);
        log_.line(LogLevel::warning, "told of suspects: another hub ended while it was delivering them",
                  {{"messages", static_cast<std::int64_t>(shared->size())}});
        slot->answer({250, "2.0.0", "Noted"});
      });
}

void ShadowKeeper::note(const Peer& peer, std::vector<smtp::NoteItem> items, ReplySlotPtr slot) {
  auto shared = std::make_shared<std::vector<smtp::NoteItem>>(std::move(items));
  auto answers = std::make_shared<std::vector<storage::NoteAnswer>>();
  std::size_t octets = 0;
  for (const auto& item : *shared) octets += 64 + item.note.last_error.size() + 64 * item.note.history.size();
  write(
      [shared, answers, owner = peer.spool](storage::Writer& w) -> Result<void> {
        answers->clear();
        for (const auto& item : *shared) {
          auto answer = w.note_shadow(item.id, item.generation, owner, item.note);
          if (!answer) return std::unexpected(answer.error());
          answers->push_back(*answer);
        }
        return {};
      },
      octets,
      [this, shared, answers, slot](Result<void> result) {
        if (!result) return slot->answer(spool_failure_reply(result.error()));
        std::string text;
        for (std::size_t i = 0; i < shared->size(); ++i) {
          auto state = static_cast<smtp::NotedState>((*answers)[i]);
          // It is being accepted, taken over or handed over here: what it will be is not known yet.
          if (state == smtp::NotedState::none && pending_.contains((*shared)[i].id))
            state = smtp::NotedState::wait;
          if (state == smtp::NotedState::noted) ++metrics_.notes_received_total;
          text += smtp::format_noted((*shared)[i].id, state) + '\n';
        }
        slot->answer({250, "2.0.0", text + std::to_string(shared->size())});
      });
}

void ShadowKeeper::seen(const Peer& peer, std::vector<std::uint64_t> keys, ReplySlotPtr slot) {
  auto count = keys.size();
  write([keys = std::move(keys),
         from = peer.spool](storage::Writer& w) { return w.outbox_confirmed_by(from, keys); },
        count * 16,
        [slot](Result<void> result) {
          if (!result) return slot->answer(spool_failure_reply(result.error()));
          slot->answer({250, "2.0.0", "Seen"});
        });
}

struct ShadowKeeper::Question {
  std::optional<storage::Holder> asker;  // none: not to be noted
  std::vector<MessageId> ids;
  std::vector<bool> was_pending;
  std::vector<storage::Knowledge> found;
  int looks = 0;
  bool has_failed = false;

  // The asker holds a copy for this hub that it is owed "superseded" of: that word ends the copy, if it comes
  // before the asker has heard "held for another" and follows the later owner, who knows nothing of it. So
  // the answer is "pending" until the word has come. An outbox too long to look through says so of all.
  void wait_for_superseded(storage::Reader& reader) {
    constexpr int pages_max = 10;
    using storage::Knowledge;
    auto is_held = [](const Knowledge& known) { return known.kind == Knowledge::Kind::held_for_other; };
    if (!asker || std::ranges::none_of(found, is_held)) return;
    std::set<MessageId> owed;
    std::uint64_t after = 0;
    bool is_whole = false;
    for (int page = 0; page < pages_max && !is_whole; ++page) {
      auto items = reader.outbox(asker->spool, after, smtp::shadow_batch_max);
      if (!items) {
        has_failed = true;
        return;
      }
      for (const auto& item : *items)
        if (item.superseded) owed.insert(item.id);
      is_whole = items->size() < smtp::shadow_batch_max;
      if (!items->empty()) after = items->back().key;
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!is_held(found[i]) || (is_whole && !owed.contains(ids[i]))) continue;
      found[i] = {};
      found[i].kind = Knowledge::Kind::handing_over;
    }
  }

  // Owned here, and the asker not told of its end if that came now.
  [[nodiscard]] std::vector<RowId> rows_that_do_not_name_asker() const {
    std::vector<RowId> rows;
    if (!asker) return rows;
    for (const auto& known : found)
      if (known.kind == storage::Knowledge::Kind::live &&
          storage::find_holder(known.holders, asker->hub, asker->spool) == known.holders.end())
        rows.push_back(known.row);
    return rows;
  }
};

void ShadowKeeper::ask(const Peer& peer, std::vector<MessageId> ids, ReplySlotPtr slot) {
  auto question = std::make_shared<Question>();
  question->asker = storage::Holder{peer.hub, peer.spool, storage::Holder::State::offered};
  question->ids = std::move(ids);
  ask(std::move(question), std::move(slot));
}

void ShadowKeeper::ask_one(MessageId id, ReplySlotPtr slot) {
  auto question = std::make_shared<Question>();
  question->ids = {id};
  ask(std::move(question), std::move(slot));
}

void ShadowKeeper::ask(std::shared_ptr<Question> question, ReplySlotPtr slot) {
  constexpr int looks_max = 3;
  question->found.clear();
  ++question->looks;
  // Pending now or when the answer goes out: the spool may be read before a commit, and the acceptance be
  // over before the answer is put together. That must not become "unknown".
  question->was_pending.clear();
  for (auto id : question->ids) question->was_pending.push_back(pending_.contains(id));
  ++under_way_;
  spool_.read(
      [question](storage::Reader& r) {
        for (auto id : question->ids) {
          auto known = r.lookup(id);
          if (!known) {
            question->has_failed = true;
            return;
          }
          question->found.push_back(std::move(*known));
        }
        question->wait_for_superseded(r);
      },
      [this, question, slot] {
        auto unnamed = question->rows_that_do_not_name_asker();
        // A read that failed, or was not done at all, must not become "unknown"; nor may what a failed sync
        // has perhaps kept.
        if (question->has_failed || question->found.size() != question->ids.size() || spool_.unhealthy() ||
            (!unnamed.empty() && question->looks == looks_max))
          slot->answer({451, "4.3.0", "The spool cannot answer now"});
        else if (unnamed.empty())
          answer(*question, *slot);
        else
          note_asker(question, std::move(unnamed), slot);
        end_operation();
      });
}

// Then looks again: a message may have ended meanwhile, without a word to the asker.
void ShadowKeeper::note_asker(std::shared_ptr<Question> question, std::vector<RowId> rows,
                              ReplySlotPtr slot) {
  auto octets = rows.size() * 64;
  write(
      [rows, asker = *question->asker](storage::Writer& w) -> Result<void> {
        for (auto row : rows) {
          auto noted = w.change_holders(row, [&](std::vector<storage::Holder>& holders) {
            if (storage::find_holder(holders, asker.hub, asker.spool) == holders.end())
              holders.push_back(asker);
          });
          if (!noted && noted.error().code != std::errc::no_such_file_or_directory) return noted;
        }
        return {};
      },
      octets,
      [this, question, rows, slot](Result<void> result) {
        if (!result) return slot->answer(spool_failure_reply(result.error()));
        for (auto row : rows) members_.holders_change(row);
        ask(question, slot);
      });
}

void ShadowKeeper::answer(const Question& question, ReplySlot& slot) {
  bool is_counted = question.asker.has_value();
  std::string text;
  for (std::size_t i = 0; i < question.ids.size(); ++i) {
    const auto& known = question.found[i];
    smtp::AskAnswer answer;
    answer.id = question.ids[i];
    answer.generation = known.generation;
    using Kind = storage::Knowledge::Kind;
    // What is being handed over may have an owner elsewhere: this hub finds out, and knows in a moment.
    bool is_pending = question.was_pending[i] || pending_.contains(answer.id);
    if (is_pending || known.kind == Kind::handing_over) {
      answer.kind = smtp::AskKind::pending;
      // Said only where it is the whole truth: what else goes on may end under any generation.
      if (is_pending) answer.generation = {};
    } else if (known.kind == Kind::live) {
      bool waits = outbound_ != nullptr && outbound_->awaits_final_reply(known.row);
      answer.kind = waits ? smtp::AskKind::waiting : smtp::AskKind::live;
    } else if (known.kind == Kind::held_for_other) {
      answer.kind = smtp::AskKind::held;
      answer.owner_hub = known.owner_hub;
      answer.owner_spool = known.owner_spool;
    } else if (known.kind == Kind::done) {
      answer.kind = smtp::AskKind::done;
    }
    text += smtp::format_answer(answer) + (is_counted ? "\n" : "");
  }
  slot.answer({250, "2.0.0", is_counted ? text + std::to_string(question.ids.size()) : text});
}

}  // namespace umbra::hub
