// One client's connection: moves octets between a Stream and smtp::ReceiveSession and messages into an
// Acceptance. Made and owned by Listener; everything on the home thread.
//
// Every wait has a deadline: a command must be complete command_timeout after the reply before it; the pieces
// of a message may be data_timeout apart and must in all come at 1,000 octets per second after a start of 20
// x data_timeout (a client that drips for ever is cut off). An idle connection costs about 4 KB: large
// buffers exist only while a body comes.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "hub/authentication/authenticator.h"
#include "hub/inbound/accept.h"
#include "hub/inbound/deadline.h"
#include "hub/inbound/introduction.h"
#include "hub/inbound/policy.h"
#include "hub/logs/session_record.h"
#include "hub/net/runtime.h"
#include "hub/net/tls_store.h"
#include "hub/net/tls_stream.h"
#include "smtp/receive_session.h"

namespace umbra::hub {

/// A listener as it is configured; never changed. A session keeps those with which it began to its end.
struct ListenerSettings {
  ListenerConfig config;
  std::string host_name;
  smtp::ReceiveSessionLimits limits;
  std::shared_ptr<TlsPlace> tls;                 ///< null: it has none
  std::shared_ptr<Authenticator> authenticator;  ///< null: nobody logs on
};

/// What the sessions of one listener share. Outlives them.
struct ListenerShared {
  Runtime runtime;
  MessageIntake& intake;
  const BackPressure& pressure;
  Throttle& throttle;
  EventLog& log;
  Metrics& metrics;
  TaskScope& scope;
  std::shared_ptr<const ListenerSettings> settings;  ///< for the next session
  std::size_t large_buffers = 0;
};

class ClientSession final : private RecordedSession {
 public:
  ClientSession(ListenerShared& shared, std::unique_ptr<Stream> stream, Throttle::Client throttle,
                Introduction whose);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  /// The whole conversation. When it returns nothing is under way, and the connection is closed, unless there
  /// is a next_client().
  Task<void> run();

  /// The client has said XCLIENT: the connection goes on as another one's.
  struct NextClient {
    std::unique_ptr<Stream> stream;
    Introduction whose;
  };
  /// After run().
  std::unique_ptr<NextClient> next_client() { return std::move(next_client_); }

  /// 421 4.3.2, "`what` is closing", as soon as no message is on its way in. A message whose end was received
  /// is answered first; one that is still coming gets a short while to end.
  void close_gently(std::string what);

 private:
  enum class Phase : std::uint8_t { busy, reading, handshake, pause, goodbye };

  // RecordedSession
  [[nodiscard]] SessionFacts session_facts() const override;
  [[nodiscard]] bool is_logged() const override { return config_.protocol_log == ProtocolLogging::verbose; }
  void record_to(SessionRecord* record) override { protocol_.observe(record); }
  void record_pause(Duration span);
  [[nodiscard]] std::string why_ended() const;

  Task<void> converse();
  /// From here on the connection is encrypted, or it is over (false).
  Task<bool> start_tls();
  /// The next step of a log-on.
  Task<void> authenticate();
  Task<bool> read(std::string_view& input);
  Task<bool> flush();
  /// Before a reply is written: a tarpit, or back pressure. Holds a timer and nothing else; ends early when
  /// the session has to.
  Task<void> pause(Duration span);
  /// `unread` is what the client has said behind XCLIENT.
  /// Whoever said XCLIENT for this client has told as whom it logged on.
  void believe_introduction();
  void introduce(std::string_view unread);
  Task<void> begin_message();
  Task<void> end_message(const smtp::Reply* refusal, bool& close_silently);
  Task<void> say_goodbye(smtp::Reply reply);
  void start_goodbye(smtp::Reply reply);
  [[nodiscard]] smtp::Reply closing_reply() const {
    return {421, "4.3.2", closing_what_ + " is closing, try another"};
  }
  void deadline_passed();
  void note_slowed();
  [[nodiscard]] bool is_too_old() const;
  asio::mutable_buffer buffer_for_read();
  void release_buffer();

  ListenerShared& shared_;
  const std::shared_ptr<const ListenerSettings> settings_;
  const ListenerConfig& config_;  // of these
  std::unique_ptr<Stream> stream_;
  Introduction whose_;
  std::string tls_cipher_;  // empty: plain
  InboundPolicy policy_;
  smtp::ReceiveSession protocol_;
  SessionTap tap_;
  const char* ended_by_ = "";
  ErrorCode stream_error_;
  std::unique_ptr<Acceptance> acceptance_;
  std::unique_ptr<AuthExchange> log_on_;  // under way
  std::string log_on_mechanism_;
  Deadline deadline_;
  Timer pause_;
  Event goodbye_said_;
  std::unique_ptr<NextClient> next_client_;
  std::optional<MonotonicTime> closing_until_;  // close_gently() was called
  std::string closing_what_;
  const MonotonicTime began_ = MonotonicClock::now();
  MonotonicTime command_until_{};
  MonotonicTime body_since_{};
  std::uint64_t body_octets_read_ = 0;
  std::uint32_t errors_counted_ = 0;
  Phase phase_ = Phase::busy;
  bool reads_body_ = false;
  bool declared_8bit_ = false;
  bool last_read_filled_ = false;
  bool is_slowed_ = false;
  std::size_t large_octets_ = 0;
  std::unique_ptr<char[]> large_;
  std::array<char, 2048> small_;
};

}  // namespace umbra::hub
