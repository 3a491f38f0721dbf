#include "load/source_session.h"

#include <algorithm>
#include <cstring>

namespace umbra::load {

using namespace std::chrono_literals;

namespace {

constexpr Duration home_retry = 2s;  // a session away from home tries to go back after this
constexpr std::size_t reply_octets_max = 16U << 10;

bool has_keyword(const std::string& keywords, std::string_view keyword) {
  return keywords.find("\n" + std::string(keyword)) != std::string::npos;
}

}  // namespace

SourceSession::SourceSession(EventLoop& loop, SourceBoard& board, std::size_t home)
    : Connection(loop), board_(board), home_(home), target_(home) {}

void SourceSession::set_deadline() {
  deadline_ = MonotonicClock::now() + std::chrono::milliseconds(board_.command.timeout_ms);
}

void SourceSession::wake(MonotonicTime now) {
  if (stage_ == Stage::closed && now >= connect_at_) {
    connect_somewhere(now);
  } else if (stage_ == Stage::ready) {
    begin_message();
  }
}

void SourceSession::check_deadline(MonotonicTime now) {
  if (idle() || now < deadline_) return;
  drop("timed out");
}

void SourceSession::finish() {
  if (stage_ == Stage::ready) send("QUIT\r\n");
  close();
  stage_ = Stage::closed;
}

void SourceSession::connect_somewhere(MonotonicTime now) {
  // With fresh connections a session connects only when it has something to say.
  if (board_.command.fresh_connections && !work_) {
    work_ = board_.take(target_);
    if (!work_) return;
  }
  ++connection_number_;
  in_.clear();
  keywords_.clear();
  needs_reset_ = said_helo_ = false;
  away_since_ = now;
  stage_ = Stage::connecting;
  set_deadline();
  if (!connect(board_.targets[target_].address)) on_closed(0);
}

void SourceSession::on_connected() {
  ++board_.counts.connections;
  stage_ = Stage::greeting;
  set_deadline();
}

void SourceSession::on_closed(int error) {
  lost(error == 0 ? "closed by the peer" : std::strerror(error));
}

void SourceSession::drop(std::string_view reason) {
  close();
  lost(reason);
}

void SourceSession::lost(std::string_view reason) {
  // A target that does not even greet is left alone for a while; one that loses a connection may be tried at
  // once.
  bool unreachable = stage_ == Stage::connecting || stage_ == Stage::greeting || stage_ == Stage::hello;
  board_.target_failed(target_, unreachable);
  if (work_) {
    auto work = *work_;
    work_.reset();
    if (attempted_) {
      board_.undecided(work, target_, reason);
    } else if (stage_ == Stage::envelope || stage_ == Stage::content) {
      board_.unsent(work, target_, reason);
    } else {
      board_.give_back(work);
    }
  }
  attempted_ = false;
  stage_ = Stage::closed;
  auto failed = target_;
  target_ = board_.choose_target(home_, failed);
  auto now = MonotonicClock::now();
  connect_at_ = std::max(now, std::min(board_.targets[target_].down_until, now + 200ms));
}

void SourceSession::on_received(std::string_view octets) {
  in_.append(octets);
  std::size_t position = 0;
  auto connection = connection_number_;
  while (is_open() && connection == connection_number_) {
    auto end = in_.find('\n', position);
    if (end == std::string::npos) break;
    auto line = std::string_view(in_).substr(position, end - position);
    position = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() < 3 || line[0] < '2' || line[0] > '5') return drop("not an SMTP reply");
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    bool last = line.size() == 3 || line[3] != '-';
    auto text = line.size() > 4 ? line.substr(4) : std::string_view{};
    if (stage_ == Stage::hello) keywords_.append("\n").append(text);
    if (last) {
      // reply() may send, close and even connect anew, which empties in_.
      std::string kept(text);
      reply(code, kept);
    }
  }
  if (connection != connection_number_) return;
  if (!is_open()) {
    in_.clear();
    return;
  }
  in_.erase(0, position);
  if (in_.size() > reply_octets_max) drop("endless reply");
}

void SourceSession::reply(int code, std::string_view text) {
  set_deadline();
  switch (stage_) {
    case Stage::greeting:
      if (code != 220) return drop(text);
      stage_ = Stage::hello;
      send("EHLO " + board_.command.helo + "\r\n");
      break;
    case Stage::hello:
      hello_reply(code, text);
      break;
    case Stage::envelope:
      step_reply(code, text);
      break;
    case Stage::content:
      final_reply(code, text);
      break;
    default:
      // Unasked, such as 421 to an idle client.
      drop(text);
  }
}

void SourceSession::hello_reply(int code, std::string_view text) {
  if (code / 100 == 5 && !said_helo_) {
    said_helo_ = true;
    keywords_.clear();
    send("HELO " + board_.command.helo + "\r\n");
    return;
  }
  if (code != 250) return drop(text);
  server_pipelining_ = has_keyword(keywords_, "PIPELINING");
  server_chunking_ = has_keyword(keywords_, "CHUNKING");
  if (board_.command.chunking && !server_chunking_) return drop("CHUNKING is not offered");
  stage_ = Stage::ready;
  begin_message();
}

bool SourceSession::begin_message() {
  auto now = MonotonicClock::now();
  if (target_ != home_ && now - away_since_ >= home_retry && board_.targets[home_].down_until <= now) {
    send("QUIT\r\n");
    close();
    stage_ = Stage::closed;
    target_ = home_;
    connect_at_ = now;
    return false;
  }
  if (!work_) work_ = board_.take(target_);
  if (!work_) return false;
  stage_ = Stage::envelope;
  steps_.clear();
  if (needs_reset_) steps_.push_back(Step::reset);
  steps_.push_back(Step::mail);
  steps_.insert(steps_.end(), board_.command.recipients, Step::rcpt);
  steps_.push_back(board_.command.chunking ? Step::chunk : Step::data);
  steps_sent_ = steps_answered_ = 0;
  rcpt_answered_ = accepted_ = 0;
  refused_.clear();
  bad_code_ = 0;
  bad_reply_.clear();
  needs_reset_ = attempted_ = false;
  set_deadline();
  send_steps();
  return true;
}

void SourceSession::append_step(std::size_t step) {
  const auto& command = board_.command;
  switch (steps_[step]) {
    case Step::reset:
      out_.append("RSET\r\n");
      break;
    case Step::mail:
      out_.append("MAIL FROM:<").append(command.from).append(">");
      if (!command.mail_parameters.empty()) out_.append(" ").append(command.mail_parameters);
      out_.append("\r\n");
      break;
    case Step::rcpt: {
      auto first =
          static_cast<std::size_t>(std::find(steps_.begin(), steps_.end(), Step::rcpt) - steps_.begin());
      out_.append("RCPT TO:<").append(command.to_user).append("-").append(std::to_string(step - first));
      if (command.token_in_recipient) out_.append(".").append(board_.maker.token(work_->number));
      out_.append("@").append(command.to_domain).append(">");
      if (!command.rcpt_parameters.empty()) out_.append(" ").append(command.rcpt_parameters);
      out_.append("\r\n");
      break;
    }
    case Step::data:
      out_.append("DATA\r\n");
      break;
    case Step::chunk: {
      auto content = board_.maker.make(work_->number);
      out_.append("BDAT ").append(std::to_string(content.size())).append(" LAST\r\n").append(content);
      board_.attempted(*work_, target_);
      attempted_ = true;
      break;
    }
  }
}

void SourceSession::send_steps() {
  bool together = board_.command.pipelining && server_pipelining_;
  do {
    append_step(steps_sent_++);
  } while (together && steps_sent_ < steps_.size());
  send(out_);
  out_.clear();
  if (attempted_) content_sent_ = MonotonicClock::now();
}

void SourceSession::step_reply(int code, std::string_view text) {
  if (code == 421) return drop(text);
  auto step = steps_[steps_answered_++];
  bool good = code / 100 == 2 || (step == Step::data && code == 354);
  if (step == Step::rcpt) {
    if (good) {
      ++accepted_;
    } else {
      if (!refused_.empty()) refused_ += ",";
      refused_ += std::to_string(rcpt_answered_);
    }
    ++rcpt_answered_;
  }
  // The first bad reply is the reason; those after it follow from it.
  if (!good && bad_code_ == 0 &&
      (step != Step::rcpt || (rcpt_answered_ == board_.command.recipients && accepted_ == 0))) {
    bad_code_ = code;
    bad_reply_ = text;
  }
  if (step == Step::chunk) return final_reply(code, text);
  if (step == Step::data) {
    if (code != 354) return attempt_refused(bad_code_, bad_reply_);
    if (bad_code_ != 0) {
      // 354 without a recipient (RFC 2920 section 3.1): end at once; the reply to that will be a refusal.
      stage_ = Stage::content;
      send(".\r\n");
      return;
    }
    return send_content();
  }
  if (steps_sent_ < steps_.size()) {
    if (bad_code_ != 0) return attempt_refused(bad_code_, bad_reply_);
    send_steps();
  }
}

void SourceSession::send_content() {
  stage_ = Stage::content;
  board_.attempted(*work_, target_);
  attempted_ = true;
  send(board_.maker.make(work_->number));
  content_sent_ = MonotonicClock::now();
}

void SourceSession::final_reply(int code, std::string_view text) {
  if (bad_code_ != 0) return attempt_refused(bad_code_, bad_reply_);
  if (code / 100 != 2) return attempt_refused(code, text);
  // BDAT goes out together with the envelope, so what is measured then includes the envelope.
  auto span = std::chrono::duration_cast<std::chrono::microseconds>(MonotonicClock::now() - content_sent_);
  board_.acknowledged(*work_, target_, accepted_, refused_, text, static_cast<std::uint64_t>(span.count()));
  message_ended();
}

void SourceSession::attempt_refused(int code, std::string_view text) {
  needs_reset_ = true;
  board_.refused(*work_, target_, code, text);
  // 421 while a message is under way: the server closes (RFC 5321 section 3.8).
  if (code == 421) {
    work_.reset();
    attempted_ = false;
    return drop(text);
  }
  message_ended();
}

void SourceSession::message_ended() {
  work_.reset();
  attempted_ = false;
  stage_ = Stage::ready;
  if (board_.command.fresh_connections) {
    send("QUIT\r\n");
    close();
    stage_ = Stage::closed;
    target_ = board_.choose_target(home_, SIZE_MAX);
    connect_at_ = MonotonicClock::now();
    connect_somewhere(connect_at_);
    return;
  }
  begin_message();
}

}  // namespace umbra::load
