#include "tests/simulation/sink.h"

#include <algorithm>

namespace umbra::simulation {
namespace {

constexpr Duration patience = 300s;

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return result;
}

/// What is between < and >.
std::string path_of(const std::string& line) {
  auto begin = line.find('<');
  auto end = line.find('>');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return "?";
  return line.substr(begin + 1, end - begin - 1);
}

std::string field_of(std::string_view octets, std::string_view name) {
  auto at = octets.find(name);
  if (at == std::string_view::npos) return {};
  at += name.size();
  auto end = octets.find("\r\n", at);
  while (at < end && octets[at] == ' ') ++at;
  return std::string(octets.substr(at, end - at));
}

}  // namespace

Sink::Sink(World& world, Fabric& fabric, Ledger& ledger, std::string name, std::string address)
    : host_(world, std::move(name), std::move(address), {}),
      network_(fabric, host_),
      ledger_(ledger),
      random_(world.random().fork("sink " + host_.name())),
      scope_(host_.io()) {}

Sink::~Sink() = default;

void Sink::open() {
  wants_open_ = true;
  if (acceptor_) return;  // or it is closing, and serve() opens it again
  host_.run([this] {
    auto acceptor = network_.listen({host_.address(), port});
    UMBRA_ASSERT(acceptor.has_value());
    acceptor_ = std::move(*acceptor);
    scope_.spawn("sink", serve());
  });
}

void Sink::die() {
  wants_open_ = false;
  host_.run([this] {
    if (acceptor_) acceptor_->close();
    for (auto& weak : wires_)
      if (auto wire = weak.lock()) wire->close();
    wires_.clear();
  });
}

void Sink::stop() {
  die();
}

hub::Task<void> Sink::serve() {
  for (;;) {
    auto stream = co_await acceptor_->accept();
    if (!stream) break;
    auto wire = std::make_shared<Wire>(host_, std::move(*stream));
    std::erase_if(wires_, [](const std::weak_ptr<Wire>& w) { return w.expired(); });
    wires_.push_back(wire);
    ++connections_;
    connections_peak_ = std::max(connections_peak_, wires_.size());
    scope_.spawn("sink session", talk(wire));
  }
  acceptor_.reset();
  if (wants_open_) open();
}

hub::Task<bool> Sink::reply(std::shared_ptr<Wire> wire, std::string text) {
  if (mood_.delay_max > Duration{0}) {
    hub::Timer timer(host_.io());
    co_await timer.wait_for(random_.between(Duration{0}, mood_.delay_max));
  }
  co_return co_await wire->write(text + "\r\n", patience);
}

hub::Task<void> Sink::talk(std::shared_ptr<Wire> wire) {
  if (random_.chance(mood_.refuses_greeting)) {
    co_await reply(wire, "421 4.3.2 not now");
    wire->close();
    co_return;
  }
  if (!co_await reply(wire, "220 " + host_.name() + " ESMTP")) co_return;
  Transaction transaction;
  std::string line;
  bool goes_on = true;
  while (goes_on && co_await wire->read_line(line, patience)) {
    auto verb = upper(line.substr(0, 4));
    if (verb == "EHLO") {
      goes_on =
          co_await reply(wire, "250-" + host_.name() +
                                   "\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
                                   "250-ENHANCEDSTATUSCODES\r\n250 SIZE 100000000");
      transaction = {};
    } else if (verb == "HELO" || verb == "RSET" || verb == "NOOP") {
      if (verb != "NOOP") transaction = {};
      goes_on = co_await reply(wire, "250 2.0.0 ok");
    } else if (verb == "MAIL") {
      transaction = {};
      if (random_.chance(mood_.defers_sender)) {
        goes_on = co_await reply(wire, "451 4.3.0 not now");
        continue;
      }
      transaction.has_sender = true;
      transaction.sender = path_of(line);
      goes_on = co_await reply(wire, "250 2.1.0 ok");
    } else if (verb == "RCPT") {
      auto recipient = path_of(line);
      if (!transaction.has_sender) {
        goes_on = co_await reply(wire, "503 5.5.1 MAIL first");
      } else if (is_rejected_everywhere(recipient)) {
        goes_on = co_await reply(wire, "550 5.1.1 no such mailbox");
      } else if (random_.chance(mood_.defers_recipient)) {
        goes_on = co_await reply(wire, "450 4.2.0 mailbox busy");
      } else {
        transaction.recipients.push_back(recipient);
        goes_on = co_await reply(wire, "250 2.1.5 ok");
      }
    } else if (verb == "DATA") {
      if (transaction.recipients.empty()) {
        transaction = {};
        goes_on = co_await reply(wire, "554 5.5.1 no valid recipients");
        continue;
      }
      if (!co_await reply(wire, "354 go on")) break;
      bool is_cut = random_.chance(mood_.cuts_in_data);
      while ((goes_on = co_await wire->read_line(line, patience)) && line != ".") {
        if (line.find_first_of("\r\n") != std::string::npos)
          ledger_.fault("unexpected: a bare CR or LF on the wire to " + host_.name());
        transaction.octets.append(line.starts_with('.') ? line.substr(1) : line).append("\r\n");
        if (is_cut && transaction.octets.size() > 100) {
          goes_on = false;
          break;
        }
      }
      if (goes_on) goes_on = co_await end_of_data(wire, std::exchange(transaction, {}));
    } else if (verb == "BDAT") {
      std::string octets;
      auto size = std::strtoul(line.c_str() + 5, nullptr, 10);
      bool is_last = upper(line).ends_with(" LAST");
      if (!co_await wire->read_octets(octets, size, patience)) break;
      if (transaction.recipients.empty()) {
        transaction = {};
        goes_on = co_await reply(wire, "554 5.5.1 no valid recipients");
        continue;
      }
      if (random_.chance(mood_.cuts_in_data)) break;
      transaction.octets += octets;
      goes_on = is_last ? co_await end_of_data(wire, std::exchange(transaction, {}))
                        : co_await reply(wire, "250 2.0.0 ok");
    } else if (verb == "QUIT") {
      co_await reply(wire, "221 2.0.0 bye");
      break;
    } else {
      goes_on = co_await reply(wire, "500 5.5.2 what?");
    }
  }
  wire->close();
}

hub::Task<bool> Sink::end_of_data(std::shared_ptr<Wire> wire, Transaction transaction) {
  auto from = wire->remote();
  transaction.left_behind_at = wire->left_behind_at();
  if (random_.chance(mood_.cuts_before_keeping)) co_return false;
  if (random_.chance(mood_.defers_message)) co_return co_await reply(wire, "452 4.3.1 full");
  if (random_.chance(mood_.cuts_after_keeping)) {
    keep(transaction, from);
    co_return false;
  }
  if (random_.chance(mood_.withholds_reply)) {
    keep(transaction, from);
    hub::Timer timer(host_.io());
    co_await timer.wait_for(random_.between(1s, 90s));
    co_return false;
  }
  bool keeps_first = random_.chance(500);
  if (keeps_first) keep(transaction, from);
  if (mood_.delay_max > Duration{0}) {
    hub::Timer timer(host_.io());
    co_await timer.wait_for(random_.between(Duration{0}, mood_.delay_max));
  }
  if (!keeps_first) keep(transaction, from);
  if (!co_await wire->write("250 2.0.0 taken\r\n", patience)) co_return false;
  auto token = field_of(transaction.octets, "\r\nX-Token:");
  for (const auto& recipient : transaction.recipients) ledger_.replied(token, recipient, host_.world().now());
  co_return !random_.chance(mood_.closes_after_reply);
}

void Sink::keep(const Transaction& transaction, const std::string& from) {
  auto& world = host_.world();
  if (transaction.sender.empty() && transaction.octets.find("multipart/report") != std::string::npos) {
    keep_notification(transaction);
    return;
  }
  auto token = field_of(transaction.octets, "\r\nX-Token:");
  for (const auto& recipient : transaction.recipients) {
    world.say(host_.name(), "keeps {} for {} from {}", token, recipient, from);
    Delivery delivery{.at = world.now(),
                      .sink = host_.name(),
                      .hub = from,
                      .left_behind_at = transaction.left_behind_at,
                      .replied_at = {}};
    ledger_.delivered(token, recipient, transaction.octets, std::move(delivery));
  }
}

void Sink::keep_notification(const Transaction& transaction) {
  // One block of fields per recipient (RFC 3464 section 2.3).
  auto token = transaction.recipients.front().substr(0, transaction.recipients.front().find('@'));
  std::string_view rest = transaction.octets;
  constexpr std::string_view name = "Final-Recipient:";
  for (auto at = rest.find(name); at != std::string_view::npos; at = rest.find(name)) {
    auto block = rest.substr(at, rest.find("\r\n\r\n", at) - at);
    auto recipient = field_of(block, name);
    recipient.erase(0, recipient.find(';') + 1);
    recipient.erase(0, recipient.find_first_not_of(' '));
    auto action = field_of(block, "Action:");
    host_.world().say(host_.name(), "notification for {}: {} {}", token, recipient, action);
    ledger_.notified(token, recipient, action, host_.world().now());
    rest.remove_prefix(at + name.size());
  }
}

}  // namespace umbra::simulation
