#include "tests/unit/hub/outbound_fixture.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>

namespace umbra::hub {

// ---- the next hop

void FakeLink::say(const std::string& reply) {
  if (reply == "SILENCE" || is_ended) return;
  if (is_holding) {
    held_back += reply;
    return;
  }
  if (reply == "CLOSE") return end();
  to_client += reply;
  readable.set();
}

void FakeLink::end() {
  if (is_ended) return;
  is_ended = true;
  --host.open;
  readable.set();
}

void FakeLink::take(std::string_view octets) {
  host.writes.emplace_back(octets);
  input += octets;
  while (!input.empty() && !is_ended) {
    if (bdat != 0) {
      auto part = std::min(bdat, input.size());
      mail.body += input.substr(0, part);
      input.erase(0, part);
      bdat -= part;
      if (bdat != 0) return;
      end_of_data();
      continue;
    }
    if (in_data) {
      auto stop = input.starts_with(".\r\n") ? 0 : input.find("\r\n.\r\n");
      if (stop == std::string::npos) return;
      std::string text = input.substr(0, stop == 0 ? 0 : stop + 2);
      input.erase(0, stop == 0 ? 3 : stop + 5);
      if (text.starts_with('.')) text.erase(0, 1);
      for (auto at = text.find("\r\n."); at != std::string::npos; at = text.find("\r\n.", at + 2))
        text.erase(at + 2, 1);
      mail.body = text;
      in_data = false;
      end_of_data();
      continue;
    }
    auto stop = input.find("\r\n");
    if (stop == std::string::npos) return;
    std::string line = input.substr(0, stop);
    input.erase(0, stop + 2);
    take_line(line);
  }
}

void FakeLink::take_line(const std::string& line) {
  host.commands.push_back(line);
  std::string scripted = host.on_command ? host.on_command(line) : "";
  auto is_refused = [&] { return !scripted.empty() && scripted[0] != '2' && scripted[0] != '3'; };
  auto answer = [&](const std::string& usual) { say(scripted.empty() ? usual : scripted); };
  if (line.starts_with("EHLO")) {
    if (!host.knows_ehlo) return say("502 5.5.1 no\r\n");
    std::string text;
    for (const auto& extension : host.extensions) text += "250-" + extension + "\r\n";
    return answer("250-fake\r\n" + text + "250 ENHANCEDSTATUSCODES\r\n");
  }
  if (line.starts_with("HELO")) return answer("250 fake\r\n");
  if (line.starts_with("MAIL FROM:")) {
    if (!is_refused()) {
      mail = ReceivedMail{line.substr(10), {}, "", number, {}};
      is_mail_open = true;
    }
    return answer("250 2.1.0 sender ok\r\n");
  }
  if (line.starts_with("RCPT TO:")) {
    if (!is_mail_open) return say("503 5.5.1 no mail\r\n");
    if (!is_refused()) mail.recipients.push_back(line.substr(8));
    return answer("250 2.1.5 recipient ok\r\n");
  }
  if (line == "DATA") {
    if (!is_mail_open || mail.recipients.empty()) return answer("554 5.5.1 no valid recipients\r\n");
    in_data = !is_refused();
    return answer("354 go on\r\n");
  }
  if (line.starts_with("BDAT ")) {
    bdat = static_cast<std::size_t>(std::stoul(line.substr(5)));
    if (bdat == 0) end_of_data();
    return;
  }
  if (line == "RSET") {
    is_mail_open = false;
    return answer("250 2.0.0 reset\r\n");
  }
  if (line == "QUIT") {
    answer("221 2.0.0 bye\r\n");
    return end();
  }
  answer("500 5.5.2 what\r\n");
}

void FakeLink::end_of_data() {
  bool is_valid = is_mail_open && !mail.recipients.empty();
  is_mail_open = false;
  if (!is_valid) return say("554 5.5.1 no valid recipients\r\n");
  mail.at = time.now();
  std::string reply = host.on_message ? host.on_message(mail) : "";
  if (reply.empty()) reply = "250 2.0.0 queued as F" + std::to_string(host.mails.size()) + "\r\n";
  if (reply[0] == '2' || reply == "SILENCE" || reply == "CLOSE") host.mails.push_back(mail);
  if (host.holds_final_replies && !std::exchange(is_holding, true))
    host.held.push_back([link = shared_from_this()] {
      link->is_holding = false;
      link->say(std::exchange(link->held_back, ""));
    });
  say(reply);
}

Task<IoResult> FakeStream::read_some(asio::mutable_buffer buffer) {
  auto link = link_;
  while (link->to_client.empty()) {
    if (link->is_closed) co_return IoResult{asio::error::operation_aborted, 0};
    if (link->is_ended) co_return IoResult{asio::error::eof, 0};
    co_await link->readable.wait();
  }
  std::size_t octets = std::min(buffer.size(), link->to_client.size());
  std::memcpy(buffer.data(), link->to_client.data(), octets);
  link->to_client.erase(0, octets);
  co_return IoResult{{}, octets};
}

Task<ErrorCode> FakeStream::write(std::string_view octets) {
  if (link_->is_closed) co_return asio::error::operation_aborted;
  if (link_->is_ended) co_return asio::error::broken_pipe;
  link_->take(octets);
  co_return ErrorCode{};
}

void FakeStream::close() noexcept {
  if (link_->is_closed) return;
  link_->is_closed = true;
  link_->to_client.clear();
  if (!link_->is_ended) {
    link_->is_ended = true;
    --link_->host.open;
  }
  link_->readable.set();
}

Task<Result<std::unique_ptr<Stream>>> FakeNetwork::connect(Endpoint to, MonotonicTime, std::string from) {
  auto found = hosts.find(to_string(to));
  if (found == hosts.end()) co_return failure(std::errc::network_unreachable, "connect to " + to_string(to));
  FakeHost& host = found->second;
  host.connect_times.push_back(time_.now());
  host.connected_from.push_back(std::move(from));
  if (host.refuses_connections)
    co_return failure(std::errc::connection_refused, "connect to " + to_string(to));
  auto link = std::make_shared<FakeLink>(io_, host, time_, ++host.connections);
  ++host.open;
  host.open_max = std::max(host.open_max, host.open);
  if (!host.greeting.empty()) link->say(host.greeting);
  co_return std::make_unique<FakeStream>(std::move(link), to);
}

Task<Result<std::vector<std::string>>> FakeResolver::addresses(std::string host) {
  if (failing.contains(host)) co_return failure(std::errc::resource_unavailable_try_again, "resolve " + host);
  if (!host.empty() && host.find_first_not_of("0123456789.") == std::string::npos)
    co_return std::vector<std::string>{host};
  auto found = a.find(host);
  co_return found == a.end() ? std::vector<std::string>{} : found->second;
}

Task<Result<std::vector<MailExchanger>>> FakeResolver::mail_exchangers(std::string domain) {
  if (failing.contains(domain))
    co_return failure(std::errc::resource_unavailable_try_again, "resolve MX " + domain);
  auto found = mx.find(domain);
  co_return found == mx.end() ? std::vector<MailExchanger>{} : found->second;
}

// ---- the bench

OutboundTest::OutboundTest() {
  static int number = 0;
  disk = std::make_unique<storage::MemoryDisk>("outbound-test-" + std::to_string(++number));
  guard.io = &io;
  config.hub_name = "hub1";
  config.host_name = "hub1.example";
  config.spool.directory = "/spool";
  config.delivery.trace_field = false;  // what it says has a test of its own
}

OutboundTest::~OutboundTest() {
  stop();
  if (spool) {
    spool->stop();
    drain();
  }
}

void OutboundTest::start(bool is_loading) {
  if (!spool) {
    storage::SpoolOptions options;
    options.directory = "/spool";
    options.vfs = disk->name();
    auto opened = storage::Spool::open(options, random, writer, reader, home);
    UMBRA_ASSERT(opened);
    spool = std::move(*opened);
  }
  outbound = Outbound::make({io, random, network, resolver, tls.get(), nullptr, records.get()}, config,
                            *spool, guard, log, metrics);
  outbound->start();
  if (is_loading) outbound->set_loading(true);
}

void OutboundTest::stop() {
  if (!outbound) return;
  bool is_done = false;
  asio::co_spawn(io, outbound->stop(), [&](const std::exception_ptr&) { is_done = true; });
  EXPECT_TRUE(run_until([&] { return is_done; }, 60s));
  outbound.reset();
}

void OutboundTest::drain() {
  do io.restart();
  while (io.poll() != 0);
}

void OutboundTest::run_for(Duration span) {
  const Duration limit = time.now() + span;
  do drain();
  while (time.jump(limit));
  drain();
}

FakeHost& OutboundTest::smart_host() {
  if (config.routes.empty()) {
    RouteConfig all;
    all.name = "out";
    all.domains = {"*"};
    all.hosts = {{{"192.0.2.1", 25}, 0}};
    config.routes.push_back(all);
  }
  return network.hosts["192.0.2.1:25"];
}

RowId OutboundTest::accept(MailOptions options) {
  storage::NewMessage made;
  made.row = spool->next_row();
  made.id = {spool->id(), static_cast<std::uint64_t>(made.row.value)};
  made.generation = {1};
  made.envelope.sender = options.sender;
  for (const auto& address : options.recipients)
    made.envelope.recipients.push_back({address, "", notify_unset});
  made.envelope.accepted_at = WallClock::now();
  made.envelope.expires_at = outbound->expiry_of(made.envelope, made.envelope.accepted_at);
  if (options.adjust) options.adjust(made.envelope);
  made.size = options.body.size();
  made.holders = options.holders;
  made.alarm_at = outbound->first_alarm(made.envelope);
  made.queue = outbound->entries_for(made.envelope, {}, made.envelope.accepted_at);
  ReadyMessage ready;
  ready.message.row = made.row;
  ready.message.id = made.id;
  ready.message.generation = made.generation;
  ready.message.envelope = made.envelope;
  ready.message.size = made.size;
  ready.message.holders = made.holders;
  ready.message.alarm_at = made.alarm_at;
  ready.message.queue = made.queue;
  if (options.with_body) ready.body = std::make_shared<const std::string>(options.body);
  bool is_committed = false;
  spool->write(
      [made, body = options.body, size = options.chunk_octets](storage::Writer& w) -> Result<void> {
        std::string_view rest = body;
        for (std::uint32_t i = 0; !rest.empty(); ++i) {
          auto put = w.put_chunk(made.row, i, rest.substr(0, size));
          if (!put) return put;
          rest.remove_prefix(std::min(rest.size(), size));
        }
        return w.insert_message(made);
      },
      options.body.size(),
      [this, &is_committed, ready = std::move(ready),
       hand_over = options.hand_over](Result<void> result) mutable {
        EXPECT_TRUE(result);
        is_committed = true;
        if (hand_over) outbound->deliver(std::move(ready));
      });
  RowId row = made.row;
  if (!writer.is_held)
    while (!is_committed) {
      io.restart();
      io.poll_one();
    }
  return row;
}

storage::QueueCounts OutboundTest::counts() {
  storage::QueueCounts result;
  bool is_done = false;
  spool->read([&](storage::Reader& r) { result = *r.counts(); }, [&] { is_done = true; });
  while (!is_done) {
    io.restart();
    io.poll_one();
  }
  return result;
}

std::optional<storage::StoredMessage> OutboundTest::stored(RowId row) {
  std::optional<storage::StoredMessage> result;
  bool is_done = false;
  spool->read([&](storage::Reader& r) { result = *r.message(row); }, [&] { is_done = true; });
  while (!is_done) {
    io.restart();
    io.poll_one();
  }
  return result;
}

std::vector<std::string> OutboundTest::events(const std::string& name) {
  std::vector<std::string> found;
  for (const auto& line : log.lines())
    if (line.find("\"event\":\"" + name + "\"") != std::string::npos) found.push_back(line);
  return found;
}

}  // namespace umbra::hub
