// SMTP clients of a run: they hand messages to some hub in every way the protocol allows, break off where
// they like, try another hub when they get no answer, and write down what they were told.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/ledger.h"
#include "tests/simulation/network.h"
#include "tests/simulation/wire.h"

namespace umbra::simulation {

struct ClientPlan {
  int messages = 10;
  Duration begin{};            ///< the first message leaves after this
  Duration gap_max = 3s;       ///< between two messages
  std::vector<Endpoint> hubs;  ///< where to hand in
  std::vector<std::string> domains;
  std::size_t recipients_max = 5;
  std::uint64_t breaks_off = 30;  ///< per thousand attempts: leaves in the middle
  std::uint64_t resets = 20;      ///< per thousand: RSET after RCPT, then starts anew
  std::uint64_t null_sender = 20;
  std::uint64_t rejected = 40;  ///< per thousand recipients that every next hop refuses
  std::uint64_t big = 10;       ///< per thousand messages of up to 300 KB
};

class Client {
 public:
  Client(World& world, Fabric& fabric, Ledger& ledger, int number, ClientPlan plan);
  ~Client();
  void start();
  /// No new message, and the connection is cut.
  void stop();
  [[nodiscard]] bool is_done() const { return is_started_ && scope_.running() == 0; }
  [[nodiscard]] Host& host() { return host_; }

 private:
  struct Message {
    std::string sender_name;
    std::vector<std::string> recipients;
    bool has_null_sender = false;
    std::size_t body_octets = 0;
  };
  enum class Next : std::uint8_t { done, again };

  hub::Task<void> work();
  hub::Task<Next> hand_in(Message message, std::string token);
  hub::Task<bool> open_connection();
  hub::Task<bool> send_envelope(Attempt& attempt, bool is_pipelined, std::string last_command,
                                int& last_code);
  hub::Task<bool> send_data(Attempt& attempt, bool is_pipelined, bool breaks_off);
  hub::Task<bool> send_chunks(Attempt& attempt, bool breaks_off);
  hub::Task<void> final_reply(Attempt& attempt);
  void drop_connection() { wire_.reset(); }
  Message make_message();
  std::string make_body(const std::string& token, std::size_t octets);
  std::string mail_command(const Attempt& attempt, bool says_size) const;

  Host host_;
  ProcessNetwork network_;
  Ledger& ledger_;
  SeededRandom random_;
  ClientPlan plan_;
  int number_;
  bool is_started_ = false;
  bool is_stopping_ = false;
  std::string hub_;  ///< address of the open connection
  bool hub_has_chunking_ = false;
  std::unique_ptr<Wire> wire_;
  hub::Timer pause_;
  hub::TaskScope scope_;
};

}  // namespace umbra::simulation
