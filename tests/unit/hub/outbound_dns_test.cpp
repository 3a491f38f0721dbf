// Name resolution by c-ares, asked of a small name server in this process.
#include "hub/net/dns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/udp.hpp>
#include <map>

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Udp = asio::ip::udp;

/// Answers A, AAAA and MX questions over UDP from tables; single-threaded, on the test's event loop.
class NameServer {
 public:
  explicit NameServer(asio::io_context& io)
      : socket_(io, Udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)) {
    receive();
  }
  Endpoint address() const { return {"127.0.0.1", socket_.local_endpoint().port()}; }

  struct Record {
    int type;
    std::string data;  // as on the wire
  };
  static Record a(unsigned char last) { return {1, {char(192 - 256), 0, 2, static_cast<char>(last)}}; }
  static Record aaaa(unsigned char last) {
    std::string data(16, '\0');
    data[0] = 0x20;
    data[1] = 0x01;
    data[15] = static_cast<char>(last);
    return {28, data};
  }
  static Record mx(unsigned char preference, const std::string& host) {
    return {15, std::string{'\0', static_cast<char>(preference)} + to_wire(host)};
  }
  static Record srv(unsigned char port, const std::string& host) {
    return {33, std::string{'\0', '\1', '\0', '\2', '\0', static_cast<char>(port)} + to_wire(host)};
  }
  std::map<std::string, std::vector<Record>> records;
  std::map<std::string, int> codes;  ///< RCODE for a name; -1: no answer at all
  int questions = 0;

 private:
  static std::string to_wire(std::string_view name) {
    std::string wire;
    while (!name.empty() && name != ".") {
      auto label = name.substr(0, name.find('.'));
      wire.push_back(static_cast<char>(label.size()));
      wire += label;
      name.remove_prefix(std::min(label.size() + 1, name.size()));
    }
    wire.push_back('\0');
    return wire;
  }

  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), from_, [this](ErrorCode error, std::size_t octets) {
      if (error) return;
      answer(std::string(buffer_.data(), octets));
      receive();
    });
  }

  void answer(std::string question) {
    ++questions;
    std::string name;
    std::size_t at = 12;
    while (question[at] != 0) {
      auto length = static_cast<std::size_t>(question[at]);
      name += (name.empty() ? "" : ".") + question.substr(at + 1, length);
      at += length + 1;
    }
    int type = question[at + 2];
    question.resize(at + 5);  // without EDNS
    int code = codes.contains(name) ? codes[name] : records.contains(name) ? 0 : 3;
    if (code < 0) return;
    std::string answers;
    int count = 0;
    for (const auto& record : records[name]) {
      if (record.type != type) continue;
      ++count;
      answers += std::string{char(0xc0 - 256),
                             12,
                             0,
                             static_cast<char>(record.type),
                             0,
                             1,
                             0,
                             0,
                             0,
                             60,
                             0,
                             static_cast<char>(record.data.size())} +
                 record.data;
    }
    if (records[name].empty()) records.erase(name);
    question[2] = char(0x85 - 256);
    question[3] = static_cast<char>(0x80 | code);
    question[7] = static_cast<char>(count);
    question[9] = question[11] = 0;
    ErrorCode ignored;
    socket_.send_to(asio::buffer(question + answers), from_, 0, ignored);
  }

  Udp::socket socket_;
  Udp::endpoint from_;
  std::array<char, 1500> buffer_{};
};

class OutboundDns : public testing::Test {
 protected:
  OutboundDns() {
    config.servers = {server.address()};
    config.timeout = std::chrono::milliseconds(900);
    resolver = make_cares_resolver(io, config);
  }
  template <class T>
  T wait(Task<T> task) {
    std::optional<T> result;
    asio::co_spawn(io, std::move(task),
                   [&](const std::exception_ptr&, T value) { result.emplace(std::move(value)); });
    auto end = MonotonicClock::now() + std::chrono::seconds(20);
    while (!result && MonotonicClock::now() < end) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(50));
    }
    UMBRA_ASSERT(result);
    return std::move(*result);
  }

  asio::io_context io;
  NameServer server{io};
  ResolverConfig config;
  std::unique_ptr<Resolver> resolver;
};

TEST_F(OutboundDns, GivesALiteralBackAtOnce) {
  EXPECT_THAT(*wait(resolver->addresses("192.0.2.55")), ElementsAre("192.0.2.55"));
  EXPECT_THAT(*wait(resolver->addresses("2001:db8::1")), ElementsAre("2001:db8::1"));
  EXPECT_EQ(server.questions, 0);
}

TEST_F(OutboundDns, FindsAddressesOfBothKinds) {
  server.records["both.example"] = {NameServer::a(1), NameServer::a(2), NameServer::aaaa(3)};
  server.records["v6.example"] = {NameServer::aaaa(4)};
  EXPECT_THAT(*wait(resolver->addresses("both.example")), ElementsAre("192.0.2.1", "192.0.2.2", "2001::3"));
  EXPECT_THAT(*wait(resolver->addresses("v6.example")), ElementsAre("2001::4"));
}

TEST_F(OutboundDns, SortsMailExchangers) {
  server.records["example.com"] = {NameServer::mx(20, "b.example.com"), NameServer::mx(10, "a.example.com")};
  auto found = wait(resolver->mail_exchangers("example.com"));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].host, "a.example.com");
  EXPECT_EQ((*found)[0].preference, 10);
  EXPECT_EQ((*found)[1].host, "b.example.com");
}

TEST_F(OutboundDns, KnowsANullMx) {
  server.records["no.example"] = {NameServer::mx(0, ".")};
  auto found = wait(resolver->mail_exchangers("no.example"));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ((*found)[0].host, "");
}

TEST_F(OutboundDns, FindsServices) {
  server.records["_hub._tcp.example"] = {NameServer::srv(25, "hub-1.example"),
                                         NameServer::srv(26, "hub-2.example"), NameServer::srv(27, ".")};
  auto found = wait(resolver->services("_hub._tcp.example"));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  std::ranges::sort(*found, {}, &ServiceTarget::port);
  EXPECT_EQ((*found)[0].host, "hub-1.example");
  EXPECT_EQ((*found)[0].port, 25);
  EXPECT_EQ((*found)[0].priority, 1);
  EXPECT_EQ((*found)[0].weight, 2);
  EXPECT_EQ((*found)[1].host, "hub-2.example");
  EXPECT_THAT(*wait(resolver->services("absent.example")), IsEmpty());
  server.codes["broken.example"] = 2;
  EXPECT_FALSE(wait(resolver->services("broken.example")));
}

TEST_F(OutboundDns, TellsAbsentFromFailing) {
  server.records["only-a.example"] = {NameServer::a(1)};
  server.codes["servfail.example"] = 2;
  server.codes["refused.example"] = 5;
  EXPECT_THAT(*wait(resolver->mail_exchangers("only-a.example")), IsEmpty());
  EXPECT_THAT(*wait(resolver->mail_exchangers("gone.example")), IsEmpty());
  EXPECT_THAT(*wait(resolver->addresses("gone.example")), IsEmpty());
  EXPECT_FALSE(wait(resolver->mail_exchangers("servfail.example")));
  EXPECT_FALSE(wait(resolver->addresses("servfail.example")));
  EXPECT_FALSE(wait(resolver->mail_exchangers("refused.example")));
}

TEST_F(OutboundDns, GivesUpWhenNobodyAnswers) {
  server.codes["silent.example"] = -1;
  auto began = MonotonicClock::now();
  auto found = wait(resolver->mail_exchangers("silent.example"));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, std::errc::timed_out);
  EXPECT_LT(MonotonicClock::now() - began, std::chrono::seconds(5));
}

TEST_F(OutboundDns, AnswersManyQuestionsAtOnce) {
  for (unsigned char i = 1; i <= 100; ++i)
    server.records["h" + std::to_string(i) + ".example"] = {NameServer::a(i)};
  std::map<int, std::string> found;
  for (int i = 1; i <= 100; ++i)
    asio::co_spawn(io, resolver->addresses("h" + std::to_string(i) + ".example"),
                   [&found, i](const std::exception_ptr&, Result<std::vector<std::string>> r) {
                     found[i] = r && !r->empty() ? r->front() : "failed";
                   });
  auto end = MonotonicClock::now() + std::chrono::seconds(10);
  while (found.size() < 100 && MonotonicClock::now() < end) {
    io.restart();
    io.run_one_for(std::chrono::milliseconds(50));
  }
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(found[i], "192.0.2." + std::to_string(i));
}

TEST_F(OutboundDns, EndsItsQueriesWhenCancelled) {
  server.codes["silent.example"] = -1;
  bool is_ended = false;
  asio::co_spawn(io, resolver->addresses("silent.example"),
                 [&](const std::exception_ptr&, Result<std::vector<std::string>> r) { is_ended = !r; });
  io.run_one_for(std::chrono::milliseconds(50));
  resolver->cancel();
  io.restart();
  io.run_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(is_ended);
}

TEST_F(OutboundDns, ReadsTheHostsFile) {
  EXPECT_THAT(*wait(resolver->addresses("localhost")), testing::Contains("127.0.0.1"));
  EXPECT_EQ(server.questions, 0);
}

}  // namespace
}  // namespace umbra::hub
