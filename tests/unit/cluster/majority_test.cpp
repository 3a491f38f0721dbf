// Majority ownership: two majorities never both, whatever is lost, repeated, late or restarted. The property
// test plays hubs that follow the rules of cluster/majority.h and cluster/lease.h, on clocks of their own,
// and looks after every step whether an owner that believes in its lease and a holder that counts a majority
// of votes exist at once.
#include "cluster/majority.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "cluster/lease.h"

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;

const SpoolId owner_spool{0xaaaa};

Voter silent_voter() {
  Voter voter;
  voter.is_admitted = voter.agrees = voter.is_silent = true;
  voter.remembered = Identity{owner_spool, Epoch{5}, Sequence{1}};
  voter.live = Epoch{5};
  return voter;
}

TEST(Majority, IsMoreThanHalf) {
  EXPECT_EQ(majority_of(3), 2U);
  EXPECT_EQ(majority_of(4), 3U);
  EXPECT_EQ(majority_of(5), 3U);
  for (std::size_t n = 1; n < 20; ++n) EXPECT_GT(2 * majority_of(n), n);
}

TEST(Majority, AgreementTellsListsAndModesApart) {
  EXPECT_EQ(agreement_of("majority", {"a", "b", "c"}), agreement_of("majority", {"c", "a", "b"}));
  EXPECT_NE(agreement_of("majority", {"a", "b", "c"}), agreement_of("majority", {"a", "b"}));
  EXPECT_NE(agreement_of("majority", {"ab", "c"}), agreement_of("majority", {"a", "bc"}));
  EXPECT_NE(agreement_of("majority", {"a", "b", "c"}), agreement_of("etcd", {"a", "b", "c"}));
  EXPECT_EQ(agreement_of("majority", {"a"}).size(), 16U);
}

TEST(Vote, EndsTheRunThatWasHeard) {
  auto vote = decide_vote(silent_voter(), owner_spool, Epoch{6});
  EXPECT_TRUE(vote.is_yes);
  EXPECT_EQ(vote.over_below, Epoch{6});
}

TEST(Vote, EndsALaterRunThanTheAskerKnows) {
  auto voter = silent_voter();
  voter.remembered->epoch = voter.live = Epoch{9};
  EXPECT_EQ(decide_vote(voter, owner_spool, Epoch{6}).over_below, Epoch{10});
}

TEST(Vote, TakesTheAskersWordForARunItNeverHeard) {
  EXPECT_EQ(decide_vote(silent_voter(), owner_spool, Epoch{8}).over_below, Epoch{8});
  auto voter = silent_voter();
  voter.remembered.reset();
  EXPECT_TRUE(decide_vote(voter, owner_spool, Epoch{8}).is_yes);
}

TEST(Vote, OfARestartedHubEndsWhateverItMayHaveGranted) {
  auto voter = silent_voter();
  voter.live = Epoch{0};
  EXPECT_EQ(decide_vote(voter, owner_spool, Epoch{5}).over_below, Epoch{6});
}

TEST(Vote, IsRepeatedUnchanged) {
  auto voter = silent_voter();
  voter.remembered->epoch = Epoch{6};
  voter.is_fenced = true;
  EXPECT_EQ(decide_vote(voter, owner_spool, Epoch{6}).over_below, Epoch{6});
}

TEST(Vote, IsRefusedWhileAPromiseMayBeBelieved) {
  auto voter = silent_voter();
  voter.is_silent = false;
  EXPECT_FALSE(decide_vote(voter, owner_spool, Epoch{6}).is_yes);
}

TEST(Vote, IsRefusedByASpoolThatDoesNotTakePart) {
  auto voter = silent_voter();
  voter.is_admitted = false;
  EXPECT_FALSE(decide_vote(voter, owner_spool, Epoch{6}).is_yes);
}

TEST(Vote, IsRefusedBetweenDifferentLists) {
  auto voter = silent_voter();
  voter.agrees = false;
  EXPECT_FALSE(decide_vote(voter, owner_spool, Epoch{6}).is_yes);
}

TEST(Vote, IsRefusedForAnotherSpool) {
  EXPECT_FALSE(decide_vote(silent_voter(), SpoolId{0xbbbb}, Epoch{6}).is_yes);
}

TEST(Admission, NeedsEveryOtherHub) {
  EXPECT_FALSE(may_be_admitted(1, 2));
  EXPECT_TRUE(may_be_admitted(2, 2));
}

// ---- two majorities never both

/// Hub 0 owns, the others grant and vote, hub 1 wants to take over. Messages are lost, late and repeated;
/// clocks drift; hubs restart with what was durable, and lose their disk.
class Play {
 public:
  explicit Play(unsigned seed, std::size_t hubs) : random_(seed), hubs_(hubs), peers_(hubs) {
    for (auto& peer : peers_) {
      peer.drift = 1.0 + (static_cast<double>(random_() % 2001) - 1000) / 20'000.0;  // up to 5 % each
      peer.watch.begin(now(peer), lease);
      peer.remembered = Identity{owner_spool, epoch_, Sequence{0}};
      peer.is_admitted = true;
    }
    promises_.resize(hubs);
  }

  /// True: exclusive so far.
  bool step() {
    time_ += std::chrono::milliseconds(random_() % 400);
    deliver();
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        beat();
        break;
      case 6:
      case 7:
      case 8:
        ask();
        break;
      case 9:
        if (random_() % 4 == 0) restart(1 + random_() % (hubs_ - 1));
        break;
      case 10:
        if (random_() % 8 == 0) lose_disk(1 + random_() % (hubs_ - 1));
        break;
      case 11:
        if (random_() % 6 == 0) restart_owner();
        break;
      case 12:
        if (random_() % 4 == 0) cut();
        break;
      case 13:
        admit();
        break;
      case 14:
        if (random_() % 10 == 0) time_ += lease;
        break;
      default:
        break;
    }
    bool believes = owner_believes();
    bool counts = taker_counts();
    return !(believes && counts);
  }
  [[nodiscard]] bool has_taken() const { return has_taken_; }
  [[nodiscard]] bool has_believed() const { return has_believed_; }

 private:
  static constexpr Duration lease = 10s;
  struct Peer {
    double drift = 1;
    Watch watch;
    std::optional<Identity> remembered;
    Epoch live{0};
    bool is_fenced = false;
    bool is_admitted = false;
    std::uint64_t spool = 1;
    std::map<std::size_t, bool> told;
  };
  struct Packet {
    Duration arrives;
    std::function<void()> act;
  };

  MonotonicTime now(const Peer& peer) const {
    return MonotonicTime{1000h} +
           std::chrono::duration_cast<Duration>(
               std::chrono::duration<double, std::nano>(static_cast<double>(time_.count()) * peer.drift));
  }
  /// Heals, cuts the owner off altogether, or anything.
  void cut() {
    constexpr unsigned all_of_owner = 0x1fU | (1U << 5) | (1U << 10) | (1U << 15) | (1U << 20);
    auto what = random_() % 3;
    cut_ = what == 0 ? 0 : what == 1 ? all_of_owner : static_cast<unsigned>(random_());
  }
  bool passes(std::size_t a, std::size_t b) const { return ((cut_ >> (a * 5 + b)) & 1U) == 0; }
  void send(std::size_t from, std::size_t to, const std::function<void()>& act) {
    if (!passes(from, to) || random_() % 10 == 0) return;
    int copies = random_() % 12 == 0 ? 2 : 1;
    for (int i = 0; i < copies; ++i)
      packets_.push_back(
          {time_ + std::chrono::milliseconds(random_() % (random_() % 60 == 0 ? 15'000 : 300)), act});
  }
  void deliver() {
    for (std::size_t i = 0; i < packets_.size();) {
      if (packets_[i].arrives > time_) {
        ++i;
        continue;
      }
      auto act = std::move(packets_[i].act);
      packets_.erase(packets_.begin() + static_cast<std::ptrdiff_t>(i));
      act();
    }
  }

  // The owner's side.
  void beat() {
    for (std::size_t to = 1; to < hubs_; ++to) {
      auto sent_at = now(peers_[0]);
      auto epoch = epoch_;
      send(0, to, [this, to, sent_at, epoch] {
        auto& peer = peers_[to];
        if (peer.remembered && epoch < peer.remembered->epoch) return;  // 554
        if (!peer.remembered) peer.remembered = Identity{owner_spool, epoch, Sequence{0}};
        peer.remembered->epoch = peer.live = epoch;
        peer.is_fenced = false;
        peer.watch.heard(now(peer), lease);
        if (!peer.is_admitted) return;  // lease 0
        send(to, 0, [this, to, sent_at, epoch, spool = peer.spool] {
          if (epoch == epoch_ && spool == peers_[to].spool) promises_[to].granted(sent_at, lease);
        });
      });
    }
  }
  bool owner_believes() {
    auto at = now(peers_[0]);
    auto fresh = 1 + std::ranges::count_if(promises_, [at](const auto& p) { return p.is_fresh(at); });
    bool believes = static_cast<std::size_t>(fresh) >= majority_of(hubs_);
    has_believed_ = has_believed_ || believes;
    return believes;
  }
  void restart_owner() {
    epoch_.value += 1;
    std::ranges::fill(promises_, Promise{});
  }

  // The taker's side: hub 1.
  void ask() {
    auto& self = peers_[1];
    auto question = self.remembered ? self.remembered->epoch : Epoch{0};
    auto own = decide(1, question);
    if (!own.is_yes) return;
    vote(1, own);
    votes_.clear();
    ballot_ += 1;
    for (std::size_t to = 2; to < hubs_; ++to)
      send(1, to, [this, to, asked = own.over_below, ballot = ballot_] {
        auto answer = decide(to, asked);
        if (!answer.is_yes) return;
        vote(to, answer);
        send(to, 1, [this, to, ballot, spool = peers_[to].spool] {
          if (ballot == ballot_ && spool == peers_[to].spool) votes_[to] = true;
        });
      });
  }
  Vote decide(std::size_t of, Epoch below) {
    const auto& peer = peers_[of];
    Voter voter;
    voter.is_admitted = peer.is_admitted;
    voter.agrees = true;
    voter.remembered = peer.remembered;
    voter.live = peer.live;
    voter.is_fenced = peer.is_fenced;
    voter.is_silent = peer.watch.is_silent(now(peer));
    return decide_vote(voter, owner_spool, below);
  }
  void vote(std::size_t of, const Vote& vote) {  // durable at once: the real one answers after its commit
    auto& peer = peers_[of];
    if (!peer.remembered) peer.remembered = Identity{owner_spool, vote.over_below, Sequence{0}};
    peer.remembered->epoch = std::max(peer.remembered->epoch, vote.over_below);
    peer.is_fenced = peer.live < peer.remembered->epoch;
  }
  /// It has the votes, and has not heard of a later run. A later run that it has not heard of delivers
  /// nothing that this hub holds before it has asked: only the run that was voted on matters.
  bool taker_counts() {
    const auto& self = peers_[1];
    bool counts =
        self.is_fenced && 1 + votes_.size() >= majority_of(hubs_) && self.remembered->epoch > epoch_;
    has_taken_ = has_taken_ || counts;
    return counts;
  }

  // Faults.
  void restart(std::size_t which) {
    auto& peer = peers_[which];
    peer.live = Epoch{0};
    peer.is_fenced = false;
    peer.watch = Watch{};
    peer.watch.begin(now(peer), lease);
    peer.told.clear();
    if (which == 1) votes_.clear();
  }
  void lose_disk(std::size_t which) {
    // One at a time, as the invariants allow.
    if (std::ranges::any_of(peers_, [](const auto& p) { return !p.is_admitted; })) return;
    restart(which);
    auto& peer = peers_[which];
    peer.remembered.reset();
    peer.is_admitted = false;
    peer.spool += 1;
  }
  void admit() {
    for (std::size_t i = 1; i < hubs_; ++i) {
      auto& peer = peers_[i];
      if (peer.is_admitted) continue;
      peer.told[0] = true;  // the owner knows nothing of its own end
      for (std::size_t other = 1; other < hubs_; ++other) {
        if (other == i || !passes(i, other) || !passes(other, i)) continue;
        peer.told[other] = true;
        if (!peers_[other].remembered) continue;
        auto lowest = peers_[other].remembered->epoch;
        if (!peer.remembered) peer.remembered = Identity{owner_spool, lowest, Sequence{0}};
        if (peer.remembered->epoch < lowest) {
          peer.remembered->epoch = lowest;
          peer.is_fenced = peer.live < lowest;
        }
      }
      if (may_be_admitted(peer.told.size(), hubs_ - 1)) peer.is_admitted = true;
    }
  }

  std::mt19937 random_;
  std::size_t hubs_;
  Duration time_{};
  Epoch epoch_{5};
  std::vector<Peer> peers_;
  std::vector<Promise> promises_;
  std::map<std::size_t, bool> votes_;
  std::uint64_t ballot_ = 0;
  std::vector<Packet> packets_;
  unsigned cut_ = 0;
  bool has_taken_ = false;
  bool has_believed_ = false;
};

TEST(Majority, TwoNeverBoth) {
  int taken = 0;
  int believed = 0;
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    Play play(seed, seed % 3 == 0 ? 5 : seed % 3 == 1 ? 3 : 4);
    for (int i = 0; i < 400; ++i) ASSERT_TRUE(play.step()) << "seed " << seed << ", step " << i;
    taken += play.has_taken() ? 1 : 0;
    believed += play.has_believed() ? 1 : 0;
  }
  // Both things do happen.
  EXPECT_GT(taken, 300);
  EXPECT_GT(believed, 300);
}

}  // namespace
}  // namespace umbra::cluster
