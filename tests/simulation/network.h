// The simulated network: TCP between the processes of a World as the hub sees it. Connections have latency
// with jitter, bounded buffers and reads and writes that are split at seeded places; they can be refused,
// reset, half-open, or simply silent while a partition holds their packets.
//
// What is modelled of TCP: connection set-up with retransmission (1 s, 2 s, 4 s ...), a window shared by send
// and receive buffer, acknowledgements that a one-way partition can hold, orderly close and reset, the reset
// that a machine sends for a connection it does not know. Not modelled: routing, congestion, keep-alive.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "hub/net/stream.h"
#include "tests/simulation/world.h"

namespace umbra::simulation {

using hub::Endpoint;
using hub::ErrorCode;

class Fabric;
class ProcessNetwork;
class SimStream;
class SimAcceptor;

/// What happens to connections that a partition caught with packets under way, when it ends.
enum class PartitionEnd : std::uint8_t {
  resume,  ///< retransmitted: nothing is lost
  reset    ///< something on the way forgot them: both sides get a reset
};

/// One side of a connection, as its machine's kernel knows it. Outlives the process's Stream.
struct Side {
  struct Packet {
    enum class Kind : std::uint8_t { data, end, reset };
    Duration arrives;
    Kind kind = Kind::data;
    std::string octets;
    Duration sent{};
  };
  ProcessNetwork* process = nullptr;  ///< null: nobody holds this side any more
  SimStream* stream = nullptr;        ///< null: not accepted yet, or destroyed
  Endpoint address;
  std::string received;
  Duration newest_sent{};          ///< when the other side wrote the last octets of `received`
  std::size_t received_taken = 0;  ///< octets of `received` that were read already
  bool at_end = false;             ///< the other side has closed
  bool is_closed = false;          ///< by this side
  ErrorCode error;                 ///< reset
  std::deque<Packet> out;          ///< under way to the other side
  bool is_pumping = false;
  bool is_stuck = false;           ///< `out` waits for a partition or a dead machine
  std::size_t unacknowledged = 0;  ///< octets sent that the other side's process has not read
  std::size_t withheld = 0;        ///< read, but the acknowledgement is held by a partition
};

struct Connection {
  std::uint64_t number = 0;
  std::size_t window = 0;
  Side sides[2];  ///< [0] connected, [1] was accepted
};

/// All machines and links of a run. Machines are known by address; a machine can run one process at a time.
class Fabric {
 public:
  explicit Fabric(World& world);
  ~Fabric();

  /// Packets from one machine to another are held until allow() was called as often.
  void block(const std::string& from, const std::string& to);
  void allow(const std::string& from, const std::string& to, PartitionEnd end);
  [[nodiscard]] bool is_blocked(const std::string& from, const std::string& to) const;
  /// Extra latency of everything from or to this machine; 0 ends it.
  void slow_down(const std::string& machine, Duration extra);
  /// Connections between this machine and the others named break now and then, with what is under way; some
  /// packets are late by seconds. An empty list ends it.
  void make_lossy(const std::string& machine, std::set<std::string> others);
  /// The machine loses its power: its connections vanish without a word. The process's network is cut first.
  void power_off(const std::string& machine);
  void power_on(const std::string& machine);

  [[nodiscard]] World& world() { return world_; }
  /// Called with everything that is sent, as it is sent.
  void on_send(
      std::function<void(const Endpoint& from, const Endpoint& to, std::string_view octets)> callback) {
    on_send_ = std::move(callback);
  }
  /// Connections that were accepted at this port, wherever, and that neither side has closed.
  [[nodiscard]] std::size_t open_connections_to(std::uint16_t port) const;
  [[nodiscard]] std::uint64_t octets_carried() const { return octets_; }

 private:
  friend class ProcessNetwork;
  friend class SimStream;
  friend class SimAcceptor;
  struct Link {
    Duration base{};
    Duration jitter{};
    int blocked = 0;
  };
  struct Machine {
    bool is_on = true;
    std::map<std::uint16_t, SimAcceptor*> listeners;
    Duration extra{};
    std::set<std::string> lossy_with;
  };

  Link& link(const std::string& from, const std::string& to);
  Duration latency(const std::string& from, const std::string& to);
  [[nodiscard]] bool can_pass(const std::string& from, const std::string& to) const;
  void send(const std::shared_ptr<Connection>& connection, int from_side, Side::Packet::Kind kind,
            std::string octets);
  void pump(const std::shared_ptr<Connection>& connection, int from_side);
  void arrive(const std::shared_ptr<Connection>& connection, int to_side, Side::Packet packet);
  void acknowledge(const std::shared_ptr<Connection>& connection, int reader_side, std::size_t octets);
  void release_stuck(const std::function<bool(Connection&, int)>& is_concerned, PartitionEnd end);
  [[nodiscard]] bool is_lossy(const std::string& from, const std::string& to) const;
  /// Both ends get a reset; what was under way is gone.
  void break_connection(const std::shared_ptr<Connection>& connection);
  void close_side(const std::shared_ptr<Connection>& connection, int side);

  World& world_;
  SeededRandom random_;
  std::map<std::pair<std::string, std::string>, Link> links_;
  std::map<std::string, Machine> machines_;
  std::vector<std::pair<std::shared_ptr<Connection>, int>> stuck_;
  std::function<void(const Endpoint&, const Endpoint&, std::string_view)> on_send_;
  std::uint64_t connections_ = 0;
  std::uint64_t octets_ = 0;
};

/// The network of one process: what its hub is given. Destroy after every stream and acceptor of it.
class ProcessNetwork final : public hub::Network {
 public:
  ProcessNetwork(Fabric& fabric, Host& host);
  ~ProcessNetwork() override;

  hub::Task<Result<std::unique_ptr<hub::Stream>>> connect(Endpoint to, MonotonicTime deadline,
                                                          std::string from = {}) override;
  Result<std::unique_ptr<hub::Acceptor>> listen(const Endpoint& at) override;

  /// The process is killed: its kernel closes every connection. After it nothing goes in or out any more.
  void kill();
  /// The machine dies with it: no word to anybody.
  void vanish();
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  [[nodiscard]] Host& host() { return host_; }

 private:
  friend class Fabric;
  friend class SimStream;
  friend class SimAcceptor;
  struct Dial;
  static void dial(const std::shared_ptr<Dial>& dial, Duration wait);
  void cut(bool silently);

  Fabric& fabric_;
  Host& host_;
  bool is_cut_ = false;
  std::uint16_t next_port_ = 40000;
  std::set<std::pair<std::uint64_t, int>> open_;  ///< (connection number, side), in order
  std::map<std::pair<std::uint64_t, int>, std::shared_ptr<Connection>> connections_;
  std::vector<SimAcceptor*> acceptors_;
  std::vector<std::weak_ptr<Dial>> dials_;
};

/// Static names, with MX records, for one process.
class SimResolver final : public hub::Resolver {
 public:
  struct Names {
    std::map<std::string, std::vector<std::string>> hosts;
    std::map<std::string, std::vector<hub::MailExchanger>> exchangers;
    std::map<std::string, std::vector<hub::ServiceTarget>> services;
    enum class Trouble : std::uint8_t { none, fails, empty };
    /// Of the names that stand for the cluster's hubs.
    Trouble trouble = Trouble::none;
  };
  SimResolver(Host& host, const Names& names)
      : host_(host), names_(names), random_(host.world().random().fork("resolver " + host.name())) {}
  hub::Task<Result<std::vector<std::string>>> addresses(std::string host) override;
  hub::Task<Result<std::vector<hub::MailExchanger>>> mail_exchangers(std::string domain) override;
  hub::Task<Result<std::vector<hub::ServiceTarget>>> services(std::string name) override;

 private:
  Host& host_;
  const Names& names_;
  SeededRandom random_;
};

}  // namespace umbra::simulation
