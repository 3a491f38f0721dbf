#include "tests/simulation/client.h"

#include <fmt/format.h>

namespace umbra::simulation {
namespace {
constexpr Duration connect_patience = 10s;
constexpr Duration command_patience = 30s;
constexpr Duration final_patience = 60s;
constexpr int attempts_max = 8;
}  // namespace

Client::Client(World& world, Fabric& fabric, Ledger& ledger, int number, ClientPlan plan)
    : host_(world, fmt::format("client{}", number), fmt::format("10.0.1.{}", number), {}),
      network_(fabric, host_),
      ledger_(ledger),
      random_(world.random().fork(host_.name())),
      plan_(std::move(plan)),
      number_(number),
      pause_(host_.io()),
      scope_(host_.io()) {}

Client::~Client() = default;

void Client::start() {
  is_started_ = true;
  host_.run([this] { scope_.spawn("client", work()); });
}

void Client::stop() {
  host_.run([this] {
    is_stopping_ = true;
    pause_.cancel();
    if (wire_) wire_->close();
  });
}

hub::Task<void> Client::work() {
  co_await pause_.wait_for(plan_.begin + random_.between(Duration{0}, plan_.gap_max));
  for (int i = 1; i <= plan_.messages && !is_stopping_; ++i) {
    auto message = make_message();
    for (int attempt = 1; attempt <= attempts_max && !is_stopping_; ++attempt) {
      auto token = fmt::format("c{}m{}a{}", number_, i, attempt);
      if (co_await hand_in(message, token) == Next::done) break;
      drop_connection();
      co_await pause_.wait_for(random_.between(Duration{50ms}, Duration{4s}));
    }
    if (wire_ && random_.chance(300)) {
      if (random_.chance(700) && co_await wire_->write("QUIT\r\n", command_patience)) {
        int code = 0;
        std::string text;
        co_await wire_->read_reply(code, text, command_patience);
      }
      drop_connection();
    }
    if (random_.chance(800)) co_await pause_.wait_for(random_.between(Duration{0}, plan_.gap_max));
  }
  drop_connection();
}

Client::Message Client::make_message() {
  Message message;
  message.has_null_sender = random_.chance(plan_.null_sender);
  auto count = 1 + random_.below(plan_.recipients_max);
  for (std::size_t i = 0; i < count; ++i) {
    auto name = random_.chance(plan_.rejected) ? "nobody" : "user";
    message.recipients.push_back(
        fmt::format("{}{}@{}", name, i, plan_.domains[random_.below(plan_.domains.size())]));
  }
  message.body_octets =
      random_.chance(plan_.big) ? 20'000 + random_.below(280'000) : 20 + random_.below(3000);
  return message;
}

std::string Client::make_body(const std::string& token, std::size_t octets) {
  auto random = random_.fork(token);
  auto body =
      fmt::format("Subject: {0}\r\nX-Token: {0}\r\nFrom: <{0}@senders.test>\r\nTo: somebody\r\n\r\n", token);
  while (body.size() < octets) {
    std::string line;
    if (random.chance(80)) line = random.chance(500) ? "." : "..";
    if (!random.chance(50)) line.append(random.below(76), static_cast<char>('a' + random.below(26)));
    body += line + "\r\n";
  }
  return body;
}

std::string Client::mail_command(const Attempt& attempt, bool says_size) const {
  return fmt::format("MAIL FROM:<{}>{}\r\n", attempt.sender,
                     says_size ? fmt::format(" SIZE={}", attempt.body.size()) : "");
}

hub::Task<bool> Client::open_connection() {
  if (wire_) co_return true;
  auto to = plan_.hubs[random_.below(plan_.hubs.size())];
  auto stream = co_await network_.connect(to, MonotonicClock::now() + connect_patience);
  if (!stream || is_stopping_) co_return false;
  wire_ = std::make_unique<Wire>(host_, std::move(*stream));
  hub_ = to.host;
  int code = 0;
  std::string text;
  if (!co_await wire_->read_reply(code, text, command_patience) || code != 220) co_return false;
  if (!co_await wire_->write("EHLO " + host_.name() + ".clients.test\r\n", command_patience)) co_return false;
  if (!co_await wire_->read_reply(code, text, command_patience) || code != 250) co_return false;
  hub_has_chunking_ = text.find("CHUNKING") != std::string::npos;
  co_return true;
}

/// MAIL, all RCPT and `last_command`; false when the attempt is over.
hub::Task<bool> Client::send_envelope(Attempt& attempt, bool is_pipelined, std::string last_command,
                                      int& last_code) {
  std::vector<std::string> commands{mail_command(attempt, random_.chance(500))};
  for (const auto& recipient : attempt.recipients) commands.push_back("RCPT TO:<" + recipient + ">\r\n");
  if (!last_command.empty()) commands.push_back(last_command);
  if (is_pipelined) {
    std::string all;
    for (const auto& command : commands) all += command;
    if (!co_await wire_->write(all, command_patience)) co_return false;
  }
  bool is_sender_good = false;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (!is_pipelined && !co_await wire_->write(commands[i], command_patience)) co_return false;
    if (!co_await wire_->read_reply(last_code, attempt.reply, command_patience)) co_return false;
    if (i == 0) is_sender_good = last_code == 250;
    if (i == 0 && !is_sender_good && !is_pipelined) co_return true;
    if (i > 0 && i <= attempt.recipients.size() && last_code / 100 == 2)
      attempt.accepted.insert(attempt.recipients[i - 1]);
  }
  co_return true;
}

hub::Task<void> Client::final_reply(Attempt& attempt) {
  int code = 0;
  attempt.reply.clear();
  if (co_await wire_->read_reply(code, attempt.reply, final_patience)) {
    attempt.outcome = code == 250 ? Outcome::acknowledged : Outcome::refused;
    attempt.id = find_message_id(attempt.reply);
  } else {
    drop_connection();
  }
}

hub::Task<bool> Client::send_data(Attempt& attempt, bool is_pipelined, bool breaks_off) {
  int code = 0;
  if (!co_await send_envelope(attempt, is_pipelined, is_pipelined ? "DATA\r\n" : "", code)) co_return false;
  if (attempt.accepted.empty() && !is_pipelined) co_return false;
  if (!is_pipelined) {
    if (!co_await wire_->write("DATA\r\n", command_patience)) co_return false;
    if (!co_await wire_->read_reply(code, attempt.reply, command_patience)) co_return false;
  }
  if (code != 354) co_return false;
  std::string stuffed;
  for (std::size_t at = 0; at < attempt.body.size();) {
    auto end = attempt.body.find("\r\n", at) + 2;
    if (attempt.body[at] == '.') stuffed += '.';
    stuffed.append(attempt.body, at, end - at);
    at = end;
  }
  if (breaks_off && random_.chance(500)) {
    co_await wire_->write(stuffed.substr(0, random_.below(stuffed.size())), command_patience);
    co_return false;
  }
  if (!co_await wire_->write(stuffed, final_patience)) co_return false;
  if (attempt.accepted.empty()) {
    // DATA was accepted without a recipient: an empty message ends it, and nothing may come of it.
    if (!co_await wire_->write(".\r\n", command_patience)) co_return false;
    attempt.outcome = Outcome::undecided;
    co_await final_reply(attempt);
    co_return true;
  }
  attempt.outcome = Outcome::undecided;
  if (!co_await wire_->write(".\r\n", final_patience)) co_return false;
  if (breaks_off) co_return false;
  co_await final_reply(attempt);
  co_return true;
}

hub::Task<bool> Client::send_chunks(Attempt& attempt, bool breaks_off) {
  int code = 0;
  if (!co_await send_envelope(attempt, random_.chance(500), "", code) || attempt.accepted.empty())
    co_return false;
  std::string_view rest = attempt.body;
  bool waits = random_.chance(500);
  int unanswered = 0;
  do {
    auto size = random_.chance(400) ? rest.size() : random_.below(rest.size() + 1);
    bool is_last = size == rest.size() && (!rest.empty() || random_.chance(900));
    if (size == rest.size()) is_last = true;
    auto chunk =
        fmt::format("BDAT {}{}\r\n", size, is_last ? " LAST" : "") + std::string(rest.substr(0, size));
    rest.remove_prefix(size);
    if (breaks_off && random_.chance(500)) {
      co_await wire_->write(chunk.substr(0, chunk.size() - (is_last && size > 0 ? 1 : 0)), command_patience);
      if (is_last && size == 0) attempt.outcome = Outcome::undecided;
      co_return false;
    }
    if (is_last) attempt.outcome = Outcome::undecided;
    if (!co_await wire_->write(chunk, final_patience)) co_return false;
    ++unanswered;
    if (is_last) break;
    if (!waits) continue;
    if (!co_await wire_->read_reply(code, attempt.reply, command_patience) || code != 250) co_return false;
    --unanswered;
  } while (true);
  if (breaks_off) co_return false;
  while (--unanswered > 0)
    if (!co_await wire_->read_reply(code, attempt.reply, final_patience)) co_return false;
  co_await final_reply(attempt);
  co_return true;
}

hub::Task<Client::Next> Client::hand_in(Message message, std::string token) {
  if (!co_await open_connection()) co_return Next::again;
  if (random_.chance(plan_.resets)) {
    // A transaction that is begun and taken back.
    auto& taken_back = ledger_.begin(token + "r");
    taken_back.hub = hub_;
    taken_back.sender = token + "r@senders.test";
    taken_back.recipients = message.recipients;
    taken_back.body = make_body(taken_back.token, message.body_octets);
    int code = 0;
    std::string text;
    if (!co_await send_envelope(taken_back, random_.chance(500), "", code)) co_return Next::again;
    if (hub_has_chunking_ && !taken_back.accepted.empty() && random_.chance(500)) {
      auto part = taken_back.body.substr(0, random_.below(taken_back.body.size()));
      if (!co_await wire_->write(fmt::format("BDAT {}\r\n{}", part.size(), part), command_patience) ||
          !co_await wire_->read_reply(code, text, command_patience))
        co_return Next::again;
    }
    if (!co_await wire_->write("RSET\r\n", command_patience) ||
        !co_await wire_->read_reply(code, text, command_patience) || code != 250)
      co_return Next::again;
  }
  auto& attempt = ledger_.begin(token);
  attempt.hub = hub_;
  attempt.sender = message.has_null_sender ? "" : token + "@senders.test";
  attempt.recipients = message.recipients;
  attempt.body = make_body(token, message.body_octets);
  bool breaks_off = random_.chance(plan_.breaks_off);
  bool goes_on = hub_has_chunking_ && random_.chance(400)
                     ? co_await send_chunks(attempt, breaks_off)
                     : co_await send_data(attempt, random_.chance(500), breaks_off);
  attempt.ended = host_.world().now();
  constexpr const char* words[] = {"not sent", "undecided", "acknowledged", "refused"};
  host_.world().say(host_.name(), "{} at {}: {} '{}'", token, hub_, words[static_cast<int>(attempt.outcome)],
                    attempt.reply);
  if (attempt.outcome == Outcome::acknowledged) co_return Next::done;
  if (attempt.outcome == Outcome::refused && attempt.reply.starts_with("5")) {
    ledger_.fault(fmt::format("{} was refused for good by {}: {}", token, hub_, attempt.reply));
    co_return Next::done;
  }
  if (!goes_on) drop_connection();
  co_return Next::again;
}

}  // namespace umbra::simulation
