// Next hops: small SMTP servers that take mail, slowly, badly or not at all, and tell the ledger what they
// kept.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tests/simulation/ledger.h"
#include "tests/simulation/network.h"
#include "tests/simulation/wire.h"

namespace umbra::simulation {

/// How a next hop feels, in chances per thousand.
struct Mood {
  std::uint64_t refuses_greeting = 0;     ///< 421
  std::uint64_t defers_sender = 0;        ///< 451 to MAIL
  std::uint64_t defers_recipient = 0;     ///< 450 to RCPT
  std::uint64_t defers_message = 0;       ///< 452 to the final dot
  std::uint64_t cuts_in_data = 0;         ///< closes in the middle of a message
  std::uint64_t cuts_before_keeping = 0;  ///< closes after the final dot, nothing kept
  std::uint64_t cuts_after_keeping = 0;   ///< keeps the message and closes without a reply
  std::uint64_t withholds_reply = 0;      ///< keeps the message and stays silent
  std::uint64_t closes_after_reply = 0;   ///< replies, then closes
  Duration delay_max{};                   ///< before each reply
  [[nodiscard]] bool loses_replies() const { return cuts_after_keeping + withholds_reply > 0; }
};

class Sink {
 public:
  Sink(World& world, Fabric& fabric, Ledger& ledger, std::string name, std::string address);
  ~Sink();
  static constexpr std::uint16_t port = 25;

  void open();
  /// Connections are refused and open ones cut until open().
  void die();
  void stop();
  void set_mood(Mood mood) { mood_ = mood; }
  [[nodiscard]] const Mood& mood() const { return mood_; }
  [[nodiscard]] Host& host() { return host_; }
  /// Accepted so far; open at once, at most.
  [[nodiscard]] std::size_t connections() const { return connections_; }
  [[nodiscard]] std::size_t connections_peak() const { return connections_peak_; }
  [[nodiscard]] bool is_stopped() const { return scope_.running() == 0; }

 private:
  struct Transaction {
    bool has_sender = false;
    std::optional<Duration> left_behind_at;  ///< as in Delivery
    std::string sender;
    std::vector<std::string> recipients;
    std::string octets;
  };
  hub::Task<void> serve();
  hub::Task<void> talk(std::shared_ptr<Wire> wire);
  hub::Task<bool> reply(std::shared_ptr<Wire> wire, std::string text);
  hub::Task<bool> end_of_data(std::shared_ptr<Wire> wire, Transaction transaction);
  void keep(const Transaction& transaction, const std::string& from);
  void keep_notification(const Transaction& transaction);

  Host host_;
  ProcessNetwork network_;
  Ledger& ledger_;
  SeededRandom random_;
  Mood mood_;
  bool wants_open_ = false;
  std::unique_ptr<hub::Acceptor> acceptor_;
  std::vector<std::weak_ptr<Wire>> wires_;
  std::size_t connections_ = 0;
  std::size_t connections_peak_ = 0;
  hub::TaskScope scope_;
};

}  // namespace umbra::simulation
