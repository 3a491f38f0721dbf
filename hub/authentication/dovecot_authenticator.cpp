#include "hub/authentication/dovecot_authenticator.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <array>

namespace umbra::hub {
namespace {

using namespace std::chrono_literals;

constexpr Duration again_after = 1s;
constexpr Duration opening_timeout = 10s;
constexpr std::size_t output_octets_max = 1U << 20;

AuthStep unavailable(std::string reason) {
  return {AuthStep::Kind::unavailable, {}, {}, std::move(reason)};
}

}  // namespace

class DovecotAuthenticator::Exchange final : public AuthExchange {
 public:
  Exchange(std::shared_ptr<DovecotAuthenticator> owner, std::string mechanism, AuthClient client)
      : owner_(std::move(owner)), mechanism_(std::move(mechanism)), client_(std::move(client)) {}
  ~Exchange() override {
    if (is_open_ && owner_->stream_ == stream_.lock()) owner_->send(DovecotProtocol::cancel(id_));
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Task<AuthStep> step(std::optional<std::string> response) override {
    if (!owner_->is_there_) co_return unavailable("Dovecot's authentication server is away");
    std::string line;
    if (id_ == 0) {
      id_ = owner_->next_id_++;
      if (owner_->next_id_ == 0) owner_->next_id_ = 1;
      stream_ = owner_->stream_;
      line = DovecotProtocol::request(id_, mechanism_, client_, response);
    } else if (stream_.lock() != owner_->stream_) {
      co_return unavailable("Dovecot's authentication server was away meanwhile");
    } else {
      line = DovecotProtocol::response(id_, response.value_or(""));
    }
    if (response) OPENSSL_cleanse(response->data(), response->size());
    is_open_ = true;
    auto step = co_await owner_->ask(id_, std::move(line));
    is_open_ = step.kind == AuthStep::Kind::challenge || step.kind == AuthStep::Kind::unavailable;
    co_return step;
  }

 private:
  const std::shared_ptr<DovecotAuthenticator> owner_;
  const std::string mechanism_;
  const AuthClient client_;
  std::weak_ptr<Stream> stream_;  // that knows of it
  std::uint32_t id_ = 0;
  bool is_open_ = false;  // the server has not ended it
};

DovecotAuthenticator::DovecotAuthenticator(asio::io_context& io, TaskScope& scope, std::string place,
                                           Connect connect, EventLog& log)
    : io_(io), scope_(scope), place_(std::move(place)), connect_(std::move(connect)), log_(log), pause_(io) {}

void DovecotAuthenticator::start() {
  scope_.spawn("dovecot", run(shared_from_this()));
}

void DovecotAuthenticator::close() {
  is_closed_ = true;
  pause_.cancel();
  if (stream_) stream_->close();
  lose_all();
}

std::unique_ptr<AuthExchange> DovecotAuthenticator::begin(std::string_view mechanism, AuthClient client) {
  return std::make_unique<Exchange>(shared_from_this(), std::string(mechanism), std::move(client));
}

void DovecotAuthenticator::lose_all() {
  is_there_ = false;
  for (auto& [id, waiting] : std::exchange(waiting_, {})) waiting->came.set();
}

Task<void> DovecotAuthenticator::run(std::shared_ptr<DovecotAuthenticator> self) {
  bool is_told = false;
  while (!self->is_closed_) {
    bool was_there = false;
    std::string why;
    auto connected = co_await self->connect_(MonotonicClock::now() + opening_timeout);
    if (self->is_closed_) co_return;
    if (connected) {
      self->stream_ = std::move(*connected);
      why = co_await self->serve();
      was_there = self->is_there_;
      self->lose_all();
      self->stream_->close();
      self->stream_.reset();
    } else {
      why = connected.error().what + ": " + connected.error().code.message();
    }
    if (self->is_closed_) co_return;
    if (was_there || !is_told) {
      self->log_.line(LogLevel::warning, "Dovecot's authentication server is away: nobody can log on",
                      {{"place", self->place_}, {"reason", why}});
      is_told = true;
    }
    co_await self->pause_.wait_for(again_after);
  }
}

Task<std::string> DovecotAuthenticator::serve() {
  auto stream = stream_;
  DovecotProtocol protocol;
  Watchdog watchdog(io_, *stream);
  watchdog.expires_after(opening_timeout);
  output_.clear();
  send(DovecotProtocol::greeting(static_cast<std::uint32_t>(::getpid())));
  std::array<char, 4096> buffer{};
  while (true) {
    auto read = co_await stream->read_some(asio::buffer(buffer));
    if (is_closed_) co_return "closed";
    if (read.error)
      co_return watchdog.fired() ? "it did not say what it offers in time" : read.error.message();
    if (!protocol.feed({buffer.data(), read.octets})) co_return "protocol error: " + protocol.problem();
    if (protocol.is_ready() && !is_there_) {
      watchdog.expires_at(MonotonicTime::max());
      is_there_ = true;
      mechanisms_ = protocol.mechanisms();
      log_.line(LogLevel::info, "Dovecot's authentication server is there",
                {{"place", place_}, {"mechanisms", mechanisms_}});
    }
    for (auto& answer : protocol.take_answers()) {
      // One that nobody waits for any more was cancelled, or took too long.
      auto found = waiting_.find(answer.id);
      if (found == waiting_.end()) continue;
      auto waiting = found->second;
      waiting_.erase(found);
      waiting->answer = std::move(answer);
      waiting->came.set();
    }
  }
}

void DovecotAuthenticator::send(std::string_view line) {
  output_ += line;
  if (!is_writing_ && stream_) {
    is_writing_ = true;
    scope_.spawn("dovecot writer", write_all(shared_from_this()));
  }
}

Task<void> DovecotAuthenticator::write_all(std::shared_ptr<DovecotAuthenticator> self) {
  while (auto stream = self->stream_) {
    if (self->output_.empty()) break;
    std::string octets = std::exchange(self->output_, {});
    auto error = co_await stream->write(octets);
    OPENSSL_cleanse(octets.data(), octets.size());
    if (error) stream->close();  // the reader sees it, and ends the connection
    if (error && stream == self->stream_) break;
  }
  self->is_writing_ = false;
}

Task<AuthStep> DovecotAuthenticator::ask(std::uint32_t id, std::string line) {
  if (waiting_.size() >= log_ons_max || output_.size() + line.size() > output_octets_max)
    co_return unavailable("too many log-ons wait for Dovecot");
  auto waiting = std::make_shared<Waiting>(io_);
  waiting_[id] = waiting;
  send(line);
  OPENSSL_cleanse(line.data(), line.size());
  waiting->timer.call_at(MonotonicClock::now() + answer_timeout,
                         [weak = std::weak_ptr(waiting)](bool has_passed) {
                           auto late = weak.lock();
                           if (has_passed && late) late->came.set();
                         });
  co_await waiting->came.wait();
  waiting->timer.cancel();
  waiting_.erase(id);
  if (!waiting->answer)
    co_return unavailable(is_there_ ? "Dovecot did not answer in time"
                                    : "Dovecot's authentication server went away");
  auto& answer = *waiting->answer;
  using Kind = DovecotProtocol::Answer::Kind;
  if (answer.kind == Kind::challenge)
    co_return AuthStep{AuthStep::Kind::challenge, std::move(answer.octets), {}, {}};
  if (answer.kind == Kind::ok) co_return AuthStep{AuthStep::Kind::success, {}, std::move(answer.user), {}};
  if (answer.is_temporary) co_return unavailable("Dovecot could not tell: " + answer.reason);
  co_return AuthStep{AuthStep::Kind::refused,
                     {},
                     {},
                     answer.reason.empty() ? "Dovecot said no" : "Dovecot said no: " + answer.reason};
}

}  // namespace umbra::hub
