#include "hub/inbound/session.h"

#include <algorithm>
#include <utility>

#include "smtp/trace_header.h"

namespace umbra::hub {
namespace {

constexpr std::size_t body_buffer_octets = 8 << 10;
/// For clients that fill the small one. So many at once in a listener: slow clients cannot make memory grow.
constexpr std::size_t large_buffer_octets = 64 << 10;
constexpr std::size_t large_buffers_max = 256;
constexpr std::size_t output_octets_kept = 1 << 10;
constexpr Duration goodbye_timeout = 5s;
constexpr Duration handshake_timeout = 60s;
constexpr Duration closing_grace = 10s;
constexpr int slow_start = 20;  // times data_timeout
constexpr std::uint64_t octets_per_second_min = 1000;

std::string tls_text(const TlsStream& tls) {
  std::string text =
      "TLS established: " + tls.version() + " " + tls.cipher() + (tls.is_resumed() ? ", resumed" : "");
  const auto names = tls.peer_names();
  if (!names.dns.empty()) text += "; certificate of";
  for (const auto& name : names.dns) text += " " + name;
  return text;
}

}  // namespace

ClientSession::ClientSession(ListenerShared& shared, std::unique_ptr<Stream> stream,
                             Throttle::Client throttle, Introduction whose)
    : shared_(shared),
      settings_(shared.settings),
      config_(settings_->config),
      stream_(std::move(stream)),
      whose_(std::move(whose)),
      tls_cipher_(whose_.tls_cipher),
      policy_(config_, settings_->authenticator.get(), stream_->remote().host, whose_.speaker, shared.intake,
              shared.pressure, std::move(throttle), shared.log, shared.metrics),
      protocol_(settings_->host_name, settings_->limits, policy_),
      tap_(shared.runtime.records, *this),
      deadline_(shared.runtime.io, [this] { deadline_passed(); }),
      pause_(shared.runtime.io),
      goodbye_said_(shared.runtime.io) {
  protocol_.count_in(&shared.metrics.smtp_commands);
  if (whose_.is_secured) protocol_.tls_started();
  believe_introduction();
}

ClientSession::~ClientSession() {
  release_buffer();
}

SessionFacts ClientSession::session_facts() const {
  Endpoint local = stream_ != nullptr ? stream_->local() : Endpoint{};
  if (local.host.empty()) local = config_.address;
  return {SessionDirection::in,
          config_.name,
          {},
          std::move(local),
          stream_ != nullptr ? stream_->remote() : Endpoint{policy_.client(), 0},
          is_logged()};
}

std::string ClientSession::why_ended() const {
  std::string why = ended_by_;
  if (!stream_error_ || stream_error_ == asio::error::operation_aborted) return why;
  if (!why.empty()) why += "; ";
  return why + (stream_error_ == asio::error::eof ? "the client closed the connection"
                                                  : "connection lost: " + stream_error_.message());
}

/// What the last reply in output() waits for.
void ClientSession::record_pause(Duration span) {
  const std::string_view replies = protocol_.output();
  const auto last = replies.substr(0, replies.size() - std::min<std::size_t>(2, replies.size())).rfind('\n');
  const bool is_refusal = replies.substr(last == std::string_view::npos ? 0 : last + 1).starts_with('5');
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(span).count() / 100;
  tap_.record()->note(std::string(is_refusal ? "tarpit" : "back pressure") + ": the next reply waits for " +
                      std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s");
}

Task<void> ClientSession::run() {
  tap_.open();
  if (auto* record = tap_.record())
    record->connected(session_facts(), whose_.speaker.empty() ? "" : "introduced by " + whose_.speaker);
  co_await converse();
  if (phase_ != Phase::goodbye) deadline_.clear();
  if (acceptance_) {
    co_await acceptance_->abandon();
    acceptance_.reset();
  }
  if (phase_ == Phase::goodbye) co_await goodbye_said_.wait();
  tap_.close(tap_.record() != nullptr ? why_ended() : std::string());
  if (!next_client_) stream_->close();
}

Task<void> ClientSession::converse() {
  using Kind = smtp::ReceiveSession::Event::Kind;
  std::string_view input;
  if (config_.tls.mode == ListenerTlsConfig::Mode::implicit && !whose_.is_secured && !co_await start_tls())
    co_return;
  while (true) {
    const auto event = protocol_.next(input);
    shared_.metrics.protocol_errors_total +=
        protocol_.errors() - std::exchange(errors_counted_, protocol_.errors());
    switch (event.kind) {
      case Kind::need_input:
        if (closing_until_ && !protocol_.expects_body()) {
          protocol_.close_with(closing_reply());
          break;
        }
        if (is_too_old() && protocol_.is_idle()) {
          protocol_.close_with({421, "4.4.2", "the session has lasted long enough, connect again"});
          break;
        }
        if (!protocol_.is_authenticating()) log_on_.reset();
        if (!co_await flush()) co_return;
        if (!co_await read(input)) co_return;
        break;
      case Kind::flush:
        if (!co_await flush()) co_return;
        break;
      case Kind::rest:
        note_slowed();
        if (!co_await flush()) co_return;
        co_await pause(event.span);
        break;
      case Kind::data_begin:
        co_await begin_message();
        break;
      case Kind::body:
        co_await acceptance_->append(event.octets);
        break;
      case Kind::body_end: {
        if (!co_await flush()) co_return;
        bool close_silently = false;
        co_await end_message(event.refusal, close_silently);
        if (close_silently) {
          ended_by_ = "closed without a reply: what has become of the message is not certain";
          co_return;
        }
        break;
      }
      case Kind::start_tls:
        if (!co_await flush() || !co_await start_tls()) co_return;
        break;
      case Kind::introduce:
        if (co_await flush()) introduce(input);
        ended_by_ = "goes on as another client's (XCLIENT)";
        co_return;
      case Kind::authenticate:
        co_await authenticate();
        break;
      case Kind::pause:
        if (tap_.record() != nullptr) record_pause(event.span);
        co_await pause(event.span);
        break;
      case Kind::abandon:
        if (tap_.record() != nullptr)
          tap_.record()->note("message given up after " + std::to_string(protocol_.body_octets()) +
                              " octets");
        co_await acceptance_->abandon();
        acceptance_.reset();
        break;
      case Kind::close:
        ended_by_ = "closed, as the last reply says";
        co_await flush();
        deadline_.set(MonotonicClock::now() + goodbye_timeout);
        co_await stream_->finish();
        co_return;
    }
  }
}

void ClientSession::note_slowed() {
  if (std::exchange(is_slowed_, true)) return;
  ++shared_.metrics.clients_slowed_total;
  shared_.log.line(LogLevel::info, "client is read slowly: many commands and no mail",
                   {{"listener", config_.name}, {"client", policy_.client()}});
}

bool ClientSession::is_too_old() const {
  return config_.limits.session_timeout > Duration{} &&
         MonotonicClock::now() >= began_ + config_.limits.session_timeout;
}

Task<bool> ClientSession::start_tls() {
  const auto context = settings_->tls->context();
  auto wrapped = std::make_unique<TlsStream>(shared_.runtime.io, std::move(stream_), context);
  auto& tls = *wrapped;
  stream_ = std::move(wrapped);
  phase_ = Phase::handshake;
  auto until = MonotonicClock::now() + std::min(handshake_timeout, config_.limits.command_timeout);
  deadline_.set(closing_until_ ? std::min(until, *closing_until_) : until);
  const auto done = co_await tls.handshake();
  deadline_.clear();
  phase_ = Phase::busy;
  if (!done) {
    ++shared_.metrics.tls_handshake_failures_total;
    ended_by_ = "the TLS handshake failed";
    if (auto* record = tap_.record()) record->note("TLS handshake failed: " + done.error().what);
    shared_.log.line(
        LogLevel::info, "TLS handshake failed",
        {{"listener", config_.name}, {"client", policy_.client()}, {"reason", done.error().what}});
    co_return false;
  }
  ++shared_.metrics.tls_connections_total;
  if (tls.is_resumed()) ++shared_.metrics.tls_sessions_resumed_total;
  tls_cipher_ = tls.cipher();
  if (auto* record = tap_.record()) record->note(tls_text(tls));
  policy_.forget_user();
  policy_.note_certificate(tls.peer_names());
  command_until_ = MonotonicClock::now() + config_.limits.command_timeout;
  protocol_.tls_started();
  believe_introduction();
  errors_counted_ = 0;
  co_return true;
}

void ClientSession::believe_introduction() {
  if (whose_.login.empty()) return;
  policy_.note_user(whose_.login);
  protocol_.note_authenticated();
}

void ClientSession::introduce(std::string_view unread) {
  auto said = protocol_.take_introduction();
  Introduction whose;
  whose.speaker = whose_.speaker.empty() ? policy_.client() : whose_.speaker;
  whose.helo = said.helo.value_or(whose_.helo);
  whose.is_extended = said.is_extended ? said.is_extended : whose_.is_extended;
  whose.login = said.login.value_or(whose_.login);
  whose.is_secured = protocol_.is_secured();
  whose.tls_cipher = tls_cipher_;
  Endpoint client = stream_->remote();
  if (said.address) client.host = *said.address;
  if (said.port) client.port = *said.port;
  shared_.log.line(LogLevel::debug, "client introduced",
                   {{"listener", config_.name},
                    {"by", whose.speaker},
                    {"client", client.host},
                    {"name", said.name.value_or("")},
                    {"helo", whose.helo},
                    {"login", whose.login}});
  auto stream = introduced(std::move(stream_), std::string(unread), std::move(client));
  next_client_ = std::make_unique<NextClient>(std::move(stream), std::move(whose));
}

Task<void> ClientSession::authenticate() {
  auto& turn = protocol_.auth();
  auto& metrics = shared_.metrics;
  if (turn.is_first) {
    log_on_mechanism_ = turn.mechanism;
    log_on_ = settings_->authenticator->begin(turn.mechanism, {policy_.client(), protocol_.is_secured()});
  }
  auto step = co_await log_on_->step(std::move(turn.response));
  if (step.kind == AuthStep::Kind::challenge) {
    protocol_.auth_challenge(step.octets);
    co_return;
  }
  log_on_.reset();
  const bool is_success = step.kind == AuthStep::Kind::success;
  const bool is_refused = step.kind == AuthStep::Kind::refused;
  ++(is_success   ? metrics.authentications_total
     : is_refused ? metrics.authentication_failures_total
                  : metrics.authentications_unavailable_total);
  shared_.log.line(is_success ? LogLevel::info : LogLevel::warning,
                   is_success   ? "logged on"
                   : is_refused ? "log-on refused"
                                : "log-on could not be decided",
                   {{"listener", config_.name},
                    {"client", policy_.client()},
                    {"user", step.user},
                    {"mechanism", log_on_mechanism_},
                    {"reason", step.reason}});
  if (auto* record = tap_.record()) {
    record->note(is_success
                     ? "logged on as " + step.user + " by " + log_on_mechanism_
                     : (is_refused ? "log-on refused: " : "log-on could not be decided: ") + step.reason);
  }
  if (is_success) {
    policy_.note_user(std::move(step.user));
    protocol_.auth_succeed();
  } else if (is_refused) {
    protocol_.auth_fail({535, "5.7.8", "authentication failed"});
  } else {
    protocol_.auth_fail({454, "4.7.0", "authentication is not possible now, try again later"});
  }
}

Task<void> ClientSession::begin_message() {
  Envelope envelope = protocol_.take_envelope();
  envelope.client_address = policy_.client();
  const std::string& helo = whose_.helo.empty() ? protocol_.hello_name() : whose_.helo;
  envelope.client_helo = helo;
  declared_8bit_ = envelope.body_8bit;
  const bool smtputf8 = envelope.smtputf8;
  const std::string recipient =
      envelope.recipients.size() == 1 ? envelope.recipients.front().address : std::string{};
  acceptance_ = shared_.intake.begin(std::move(envelope), config_);
  acceptance_->note_user(policy_.user());
  protocol_.accept_body();
  const std::string trace =
      smtp::received_field({.client_name = helo,
                            .client_address = policy_.client(),
                            .host_name = settings_->host_name,
                            .is_extended = whose_.is_extended.value_or(protocol_.is_extended()),
                            .smtputf8 = smtputf8,
                            .tls_cipher = tls_cipher_,
                            .is_authenticated = protocol_.is_authenticated(),
                            .id = acceptance_->id(),
                            .recipient = recipient,
                            .time = WallClock::now()});
  co_await acceptance_->append(trace);
}

/// `refusal` is what the protocol found wrong with the body; null: the message may be kept.
Task<void> ClientSession::end_message(const smtp::Reply* refusal, bool& close_silently) {
  auto& metrics = shared_.metrics;
  if (refusal != nullptr) {
    co_await acceptance_->abandon();
    shared_.log.message(MessageEvent::rejected, acceptance_->id(),
                        {{"listener", config_.name},
                         {"client", policy_.client()},
                         {"octets", static_cast<std::int64_t>(protocol_.body_octets())},
                         {"reply", smtp::to_line(*refusal)}});
    count_refusal(metrics, *refusal, RejectionStage::message, reason_of(*refusal));
    acceptance_.reset();
    protocol_.end_body(*refusal);
    co_return;
  }
  if (protocol_.body_has_8bit() && !declared_8bit_) acceptance_->note_8bit();
  const auto began = MonotonicClock::now();
  const smtp::Reply reply = co_await acceptance_->finish();
  metrics.accept_seconds.observe(MonotonicClock::now() - began);
  if (auto* record = tap_.record())
    if (const auto remark = acceptance_->remark(); !remark.empty()) record->note(remark);
  if (!reply.is_positive()) {
    shared_.log.line(LogLevel::info, reply.code == 0 ? "mail not answered" : "mail refused",
                     {{"listener", config_.name},
                      {"client", policy_.client()},
                      {"message", to_string(acceptance_->id())},
                      {"reply", smtp::to_line(reply)}});
    count_refusal(metrics, reply, RejectionStage::message, reason_of(reply));
  }
  acceptance_.reset();
  close_silently = reply.code == 0;
  if (!close_silently) protocol_.end_body(reply);
}

Task<void> ClientSession::pause(Duration span) {
  if (closing_until_) co_return;
  phase_ = Phase::pause;
  co_await pause_.wait_for(span);
  phase_ = Phase::busy;
}

Task<bool> ClientSession::flush() {
  auto& output = protocol_.output();
  if (output.empty()) co_return true;
  deadline_.set(MonotonicClock::now() + config_.limits.command_timeout);
  if (auto* record = tap_.record()) record->replies(output);
  const auto error = co_await stream_->write(output);
  deadline_.clear();
  if (error) stream_error_ = error;
  output.clear();
  if (output.capacity() > output_octets_kept) output = {};
  command_until_ = MonotonicClock::now() + config_.limits.command_timeout;
  co_return !error;
}

Task<bool> ClientSession::read(std::string_view& input) {
  const auto& limits = config_.limits;
  const auto buffer = buffer_for_read();
  auto until = command_until_;
  const bool is_body = protocol_.expects_body();
  if (is_body) {
    const auto now = MonotonicClock::now();
    if (!std::exchange(reads_body_, true)) {
      body_since_ = now;
      body_octets_read_ = 0;
    }
    until = std::min(now + limits.data_timeout,
                     body_since_ + limits.data_timeout * slow_start +
                         std::chrono::seconds(body_octets_read_ / octets_per_second_min));
  } else {
    reads_body_ = false;
  }
  if (closing_until_) until = std::min(until, *closing_until_);
  deadline_.set(until);
  phase_ = Phase::reading;
  const auto got = co_await stream_->read_some(buffer);
  if (phase_ == Phase::goodbye)
    co_return false;  // the last word is being said: whatever came is not looked at
  phase_ = Phase::busy;
  deadline_.clear();
  if (got.error) {
    stream_error_ = got.error;
    co_return false;
  }
  last_read_filled_ = got.octets == buffer.size();
  if (is_body) body_octets_read_ += got.octets;
  input = {static_cast<const char*>(buffer.data()), got.octets};
  co_return true;
}

asio::mutable_buffer ClientSession::buffer_for_read() {
  if (!protocol_.expects_body()) {
    release_buffer();
    return asio::buffer(small_);
  }
  if (large_ == nullptr) {
    large_ = std::make_unique_for_overwrite<char[]>(body_buffer_octets);
    large_octets_ = body_buffer_octets;
  } else if (large_octets_ < large_buffer_octets && last_read_filled_ &&
             shared_.large_buffers < large_buffers_max) {
    large_ = std::make_unique_for_overwrite<char[]>(large_buffer_octets);
    large_octets_ = large_buffer_octets;
    ++shared_.large_buffers;
  }
  return asio::buffer(large_.get(), large_octets_);
}

void ClientSession::release_buffer() {
  if (large_octets_ == large_buffer_octets) --shared_.large_buffers;
  large_.reset();
  large_octets_ = 0;
}

void ClientSession::close_gently(std::string what) {
  if (closing_until_) return;
  closing_what_ = std::move(what);
  closing_until_ = MonotonicClock::now() + closing_grace;
  if (phase_ == Phase::handshake) deadline_.set(*closing_until_);
  if (phase_ == Phase::pause) pause_.cancel();
  if (phase_ != Phase::reading) return;
  if (protocol_.expects_body()) {
    deadline_.set(*closing_until_);
  } else {
    start_goodbye(closing_reply());
  }
}

void ClientSession::deadline_passed() {
  if (phase_ == Phase::reading) {
    start_goodbye(closing_until_ ? closing_reply() : smtp::Reply{421, "4.4.2", "timeout, closing"});
  } else {
    ended_by_ = "a deadline passed";
    if (auto* record = tap_.record())
      record->note("timeout: " + std::string(phase_ == Phase::handshake
                                                 ? "the TLS handshake"
                                                 : "the client does not take what it is sent"));
    stream_->close();
  }
}

/// Only while a read is under way: then no write is, and the coroutine of run() does nothing but wait for it.
void ClientSession::start_goodbye(smtp::Reply reply) {
  phase_ = Phase::goodbye;
  ended_by_ = closing_until_ ? "the hub or the listener closes" : "timeout";
  deadline_.set(MonotonicClock::now() + goodbye_timeout);
  shared_.scope.spawn("goodbye", say_goodbye(std::move(reply)));
}

Task<void> ClientSession::say_goodbye(smtp::Reply reply) {
  const std::string octets = smtp::to_wire(reply);
  if (auto* record = tap_.record()) record->replies(octets);
  co_await stream_->write(octets);
  co_await stream_->finish();
  stream_->close();
  goodbye_said_.set();
}

}  // namespace umbra::hub
