// This hub's session to another hub: connects, proves itself and checks the other's proof, keeps the session
// up, and carries XSHADOW commands, pipelined: many calls may be under way, answered in order. One per member
// and purpose (control: beats, discards, questions; data: copies). Owned by Members.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/identity.h"
#include "hub/config/config.h"
#include "hub/net/runtime.h"
#include "hub/peering/hub_channel.h"
#include "hub/peering/opening.h"
#include "smtp/reply.h"
#include "smtp/shadow_capabilities.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {

/// What a link asks and tells its owner. Called on the home thread.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  /// Our hello, with a new nonce.
  virtual smtp::HubHello make_hello() = 0;
  /// What is known of the member now.
  virtual std::optional<cluster::Identity> remembered(const std::string& member) = 0;
  /// The other side has proved itself as this. `before`: what was known of it when our hello, which it
  /// answered, was made. False: this is not a hub to talk to (rolled back): the session is closed.
  virtual bool on_hello(const smtp::HubHello& peer, const std::optional<cluster::Identity>& before) = 0;
  /// The session is open for commands, or it has ended.
  virtual void on_open(const std::string& member) = 0;
  virtual void on_closed(const std::string& member) = 0;
  /// The other side ended our epoch (554), or calls our spool rolled back (555).
  virtual void on_refused(const std::string& member, const smtp::Reply& reply) = 0;
  /// No session came about, and here is why: once per reason and link.
  virtual void on_trouble(const std::string& member, const std::string& why) = 0;
};

class Link {
 public:
  /// How a call ended. `lost`: it was sent, or may have been, and no answer came.
  struct Outcome {
    enum class Kind : std::uint8_t { replied, not_sent, lost };
    Kind kind = Kind::not_sent;
    smtp::Reply reply;
    MonotonicTime sent_at{};
  };

  Link(Runtime runtime, const MemberConfig& member, const ClusterConfig& config, LinkOwner& owner);
  ~Link();

  void start();
  void close();
  /// Where the hub is from now on. A session that is open goes on. Without a host nothing is tried.
  void set_address(const Endpoint& address);
  Task<void> stop();

  [[nodiscard]] bool is_open() const { return is_open_; }
  [[nodiscard]] std::size_t under_way() const { return calls_.size(); }
  /// When the present session began, or its last command was sent.
  [[nodiscard]] MonotonicTime used_at() const { return used_at_; }
  /// The server of the present session has offered this keyword (smtp/shadow_capabilities.h).
  [[nodiscard]] bool offers(std::string_view keyword) const {
    return is_open_ && keywords_.contains(keyword);
  }
  /// The number of the present session, or of the last one; 0: there was none.
  [[nodiscard]] std::uint64_t session() const { return sessions_; }
  /// The version that the present session uses.
  [[nodiscard]] int version() const { return version_.used; }
  /// Sends a command (with its octets) and waits for its reply, so long at most: then it is lost. The session
  /// is closed when the first of those that wait is not answered in its time; a call behind a slower one
  /// ends, and the session goes on.
  Task<Outcome> call(std::string command, Duration timeout);
  /// The same, but when it is lost the session is closed: for a part of something that is sent in pieces,
  /// which the other side keeps as long as the session lasts, and for what is told once in each session.
  Task<Outcome> call_or_end(std::string command, Duration timeout);

 private:
  struct Call;
  Task<void> run();
  Task<void> one_session();
  Task<bool> secure(TlsStream* tls);
  Task<bool> handshake(Stream& stream);
  Task<void> read_replies(Stream& stream);
  Task<void> write_commands();
  void complain(const std::string& why);
  /// In the connectivity log. `direction`: + something came about, > not, - it has ended.
  void tell_connectivity(std::string_view direction, const std::string& description);
  /// Once for each reason, until there is a session.
  void tell_failure(const std::string& why);
  void end_session();
  void watch_first();

  Runtime runtime_;
  MemberConfig member_;
  std::string secret_;
  HubTrust trust_;  // in the present session
  SpokenVersions spoken_;
  int offer_;  // the version to offer next: lower after a 504
  smtp::ShadowVersion version_;
  smtp::Keywords keywords_;
  std::string complained_;
  std::string failure_told_;
  std::uint64_t session_id_ = 0;  // in the connectivity log
  std::uint64_t commands_ = 0;    // of the present session
  std::uint64_t octets_ = 0;
  std::vector<std::string> resolved_;  // addresses of the host, as last answered
  std::size_t attempts_ = 0;
  LinkOwner& owner_;
  TaskScope tasks_;
  Timer pause_;
  Event output_ready_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Watchdog> watchdog_;
  std::string input_;  // read but not yet parsed
  std::string output_;
  std::deque<std::shared_ptr<Call>> calls_;  // the replies that are to come; also of calls that have ended
  bool is_open_ = false;
  std::uint64_t sessions_ = 0;
  MonotonicTime used_at_{};
  bool is_stopping_ = false;
  bool writer_ended_ = true;
  Event writer_done_;
};

}  // namespace umbra::hub
