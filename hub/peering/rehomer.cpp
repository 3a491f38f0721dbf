#include "hub/peering/rehomer.h"

#include <algorithm>

#include "hub/peering/lasting_copy.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using smtp::RehomeState;
using storage::Holder;

constexpr std::size_t copying_max = 64;
constexpr std::size_t wanted_max = 4096;  // the rest is asked for again

}  // namespace

Rehomer::Rehomer(Runtime runtime, storage::Spool& spool, Members& members, Copier& copier,
                 PendingMessages& pending)
    : runtime_(runtime),
      spool_(spool),
      members_(members),
      copier_(copier),
      pending_(pending),
      tasks_(runtime.io) {}

Task<void> Rehomer::stop() {
  is_stopping_ = true;
  queue_.clear();
  co_await tasks_.join();
}

void Rehomer::ask(const ShadowKeeper::Peer& peer, std::vector<MessageId> ids, ReplySlotPtr slot) {
  if (is_stopping_) return slot->answer({451, "4.3.0", "This hub is stopping"});
  tasks_.spawn("rehome", answer(peer, std::move(ids), std::move(slot)));
}

Task<void> Rehomer::answer(ShadowKeeper::Peer peer, std::vector<MessageId> ids, ReplySlotPtr slot) {
  struct Found {
    RehomeState state = RehomeState::unknown;
    RowId row;
    std::vector<Holder> holders;
    Protection protection;
  };
  auto found = co_await query<std::vector<Found>>(runtime_.io, spool_,
                                                  [&ids](storage::Reader& r) -> Result<std::vector<Found>> {
                                                    std::vector<Found> all;
                                                    for (auto id : ids) {
                                                      auto known = r.lookup(id);
                                                      if (!known) return std::unexpected(known.error());
                                                      auto& one = all.emplace_back();
                                                      using Kind = storage::Knowledge::Kind;
                                                      if (known->kind == Kind::handing_over)
                                                        one.state = RehomeState::wait;
                                                      if (known->kind != Kind::live) continue;
                                                      auto message = r.message(known->row);
                                                      if (!message) return std::unexpected(message.error());
                                                      if (!*message) continue;
                                                      one.state = RehomeState::wait;
                                                      one.row = known->row;
                                                      one.holders = std::move((*message)->holders);
                                                      one.protection = (*message)->envelope.protection;
                                                    }
                                                    return all;
                                                  });
  if (!found) co_return slot->answer({451, "4.3.0", "The spool cannot answer now"});
  std::vector<RowId> released;
  std::vector<std::size_t> released_at;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto& one = (*found)[i];
    if (pending_.contains(ids[i])) one.state = RehomeState::wait;
    if (one.row.value == 0) continue;
    bool is_elsewhere = std::ranges::any_of(
        one.holders, [&](const Holder& h) { return h.spool != peer.spool && is_lasting_copy(members_, h); });
    if (is_elsewhere) {
      released.push_back(one.row);
      released_at.push_back(i);
      continue;
    }
    auto excluded = one.holders;
    excluded.push_back({peer.hub, peer.spool, Holder::State::holds});
    if (copier_.can_copy_beside(excluded, one.protection))
      copy_later(one.row, peer.spool);
    else if (!wanted_.contains(one.row))
      one.state = RehomeState::nobody;
  }
  if (!released.empty()) {
    // It is no holder that counts from now on, but is owed the discard: nobody knows when it drops its copy.
    auto saved = co_await commit(
        runtime_.io, spool_,
        [released, gone = peer.spool](storage::Writer& w) -> Result<void> {
          for (auto row : released) {
            auto changed = w.change_holders(row, [gone](std::vector<Holder>& holders) {
              for (auto& holder : holders)
                if (holder.spool == gone) holder.state = Holder::State::former_owner;
            });
            if (!changed && changed.error().code != std::errc::no_such_file_or_directory) return changed;
          }
          return {};
        },
        released.size() * 128);
    if (saved)
      for (auto i : released_at) (*found)[i].state = RehomeState::released;
  }
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) text += smtp::format_rehomed(ids[i], (*found)[i].state) + '\n';
  slot->answer({250, "2.0.0", text + std::to_string(ids.size())});
}

void Rehomer::copy_later(RowId row, SpoolId but) {
  if (wanted_.size() >= wanted_max || !wanted_.insert(row).second) return;
  queue_.emplace_back(row, but);
  if (copying_ >= copying_max) return;
  ++copying_;
  tasks_.spawn("copy elsewhere", copy());
}

Task<void> Rehomer::copy() {
  while (!queue_.empty() && !is_stopping_) {
    auto [row, but] = queue_.front();
    queue_.pop_front();
    (void)co_await copier_.copy_elsewhere(row, but);
    wanted_.erase(row);
  }
  --copying_;
}

}  // namespace umbra::hub
