#include "hub/net/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <map>
#include <stdexcept>

namespace umbra::hub {
namespace {

using Descriptor = asio::posix::basic_stream_descriptor<IoExecutor>;

constexpr int tries = 2;
constexpr int dns_class_in = 1;
enum class RecordType : int { a = 1, mx = 15, aaaa = 28, srv = 33 };

bool is_not_there(int status) {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

std::unexpected<Error> resolver_failure(int status, const std::string& name) {
  auto code = status == ARES_ETIMEOUT ? std::errc::timed_out : std::errc::resource_unavailable_try_again;
  return failure(code, "resolve " + name + ": " + ares_strerror(status));
}

class CaresResolver final : public Resolver {
 public:
  CaresResolver(asio::io_context& io, const ResolverConfig& config) : io_(io), timer_(io) {
    static const int initialised = ares_library_init(ARES_LIB_INIT_ALL);
    if (initialised != ARES_SUCCESS)
      throw std::runtime_error(std::string("c-ares: ") + ares_strerror(initialised));
    // c-ares doubles its wait with every round over the servers: t + 2t must fit.
    auto servers =
        static_cast<std::chrono::milliseconds::rep>(std::max<std::size_t>(config.servers.size(), 1));
    auto span = std::chrono::duration_cast<std::chrono::milliseconds>(config.timeout).count() / 3 / servers;
    ares_options options{};
    options.timeout = static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(span, 100, 60'000));
    options.tries = tries;
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
      static_cast<CaresResolver*>(self)->watch(socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    int status =
        ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) throw std::runtime_error(std::string("c-ares: ") + ares_strerror(status));
    if (!config.servers.empty()) set_servers(config.servers);
    read_search_domains();
  }

  ~CaresResolver() override {
    timer_.cancel();
    ares_destroy(channel_);
  }

  Task<Result<std::vector<std::string>>> addresses(std::string host) override {
    std::vector<std::string> found;
    ErrorCode not_literal;
    auto literal = asio::ip::make_address(host, not_literal);
    if (!not_literal) {
      found.push_back(literal.to_string());
      co_return found;
    }
    from_hosts_file(host, found);
    if (!found.empty()) co_return found;
    auto error = co_await add_addresses(host, found);
    if (error) co_return std::unexpected(*error);
    if (host.ends_with('.')) co_return found;
    for (const auto& domain : search_domains_) {
      if (!found.empty()) break;
      error = co_await add_addresses(host + "." + domain, found);
      if (error) co_return std::unexpected(*error);
    }
    co_return found;
  }

  void cancel() noexcept override { ares_cancel(channel_); }

  Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string domain) override {
    Query query(io_);
    ask(query, domain, RecordType::mx);
    co_await query.done.wait();
    std::vector<MailExchanger> found;
    if (is_not_there(query.status)) co_return found;
    if (query.status != ARES_SUCCESS) co_return resolver_failure(query.status, "MX " + domain);
    ares_mx_reply* replies = nullptr;
    int status = ares_parse_mx_reply(octets(query), size(query), &replies);
    if (is_not_there(status)) co_return found;
    if (status != ARES_SUCCESS) co_return resolver_failure(status, "MX " + domain);
    for (auto* reply = replies; reply != nullptr; reply = reply->next)
      found.push_back({reply->priority, std::string(reply->host) == "." ? "" : reply->host});
    ares_free_data(replies);
    std::ranges::sort(found, {}, [](const auto& e) { return std::pair(e.preference, e.host); });
    co_return found;
  }

  Task<Result<std::vector<ServiceTarget>>> services(std::string name) override {
    Query query(io_);
    ask(query, name, RecordType::srv);
    co_await query.done.wait();
    std::vector<ServiceTarget> found;
    if (is_not_there(query.status)) co_return found;
    if (query.status != ARES_SUCCESS) co_return resolver_failure(query.status, "SRV " + name);
    ares_srv_reply* replies = nullptr;
    int status = ares_parse_srv_reply(octets(query), size(query), &replies);
    if (is_not_there(status)) co_return found;
    if (status != ARES_SUCCESS) co_return resolver_failure(status, "SRV " + name);
    for (auto* reply = replies; reply != nullptr; reply = reply->next)
      // RFC 2782: "." says that the service is decidedly not here.
      if (std::string_view(reply->host) != "." && *reply->host != '\0')
        found.push_back({reply->priority, reply->weight, reply->port, reply->host});
    ares_free_data(replies);
    co_return found;
  }

 private:
  /// Lives in the frame of the coroutine that waits for it; c-ares always calls back.
  struct Query {
    explicit Query(asio::io_context& io) : done(io) {}
    Event done;
    int status = ARES_SUCCESS;
    std::string answer;
  };
  struct Socket {
    Socket(asio::io_context& io, int fd) : descriptor(io, fd) {}
    Descriptor descriptor;
    bool wants_read = false;
    bool wants_write = false;
    bool is_reading = false;
    bool is_writing = false;
  };

  static const unsigned char* octets(const Query& query) {
    return reinterpret_cast<const unsigned char*>(query.answer.data());
  }
  static int size(const Query& query) { return static_cast<int>(query.answer.size()); }

  void set_servers(const std::vector<Endpoint>& servers) {
    std::string list;
    for (const auto& server : servers) list += (list.empty() ? "" : ",") + to_string(server);
    int status = ares_set_servers_ports_csv(channel_, list.c_str());
    if (status != ARES_SUCCESS)
      throw std::runtime_error("resolver servers " + list + ": " + ares_strerror(status));
  }

  void read_search_domains() {
    ares_options options{};
    int mask = 0;
    if (ares_save_options(channel_, &options, &mask) != ARES_SUCCESS) return;
    for (int i = 0; i < options.ndomains; ++i) search_domains_.emplace_back(options.domains[i]);
    ares_destroy_options(&options);
  }

  void from_hosts_file(const std::string& host, std::vector<std::string>& found) {
    for (int family : {AF_INET, AF_INET6}) {
      hostent* entry = nullptr;
      if (ares_gethostbyname_file(channel_, host.c_str(), family, &entry) != ARES_SUCCESS) continue;
      for (char** address = entry->h_addr_list; *address != nullptr; ++address)
        found.push_back(to_text(family, *address));
      ares_free_hostent(entry);
    }
  }

  static std::string to_text(int family, const void* address) {
    char text[INET6_ADDRSTRLEN] = "";
    ares_inet_ntop(family, address, text, sizeof text);
    return text;
  }

  /// A and AAAA side by side. An error only when nothing was found and one of them failed.
  Task<std::optional<Error>> add_addresses(std::string name, std::vector<std::string>& found) {
    Query v4(io_);
    Query v6(io_);
    ask(v4, name, RecordType::a);
    ask(v6, name, RecordType::aaaa);
    co_await v4.done.wait();
    co_await v6.done.wait();
    std::optional<Error> error;
    for (auto* query : {&v4, &v6}) {
      bool is_v4 = query == &v4;
      hostent* entry = nullptr;
      int status = query->status;
      if (status == ARES_SUCCESS)
        status = is_v4 ? ares_parse_a_reply(octets(*query), size(*query), &entry, nullptr, nullptr)
                       : ares_parse_aaaa_reply(octets(*query), size(*query), &entry, nullptr, nullptr);
      if (status == ARES_SUCCESS) {
        for (char** address = entry->h_addr_list; *address != nullptr; ++address)
          found.push_back(to_text(is_v4 ? AF_INET : AF_INET6, *address));
        ares_free_hostent(entry);
      } else if (!is_not_there(status)) {
        error = resolver_failure(status, name).error();
      }
    }
    if (!found.empty()) co_return std::nullopt;
    co_return error;
  }

  void ask(Query& query, const std::string& name, RecordType type) {
    ares_query(
        channel_, name.c_str(), dns_class_in, static_cast<int>(type),
        [](void* argument, int status, int, unsigned char* answer, int length) {
          auto& q = *static_cast<Query*>(argument);
          q.status = status;
          if (answer != nullptr && length > 0)
            q.answer.assign(reinterpret_cast<char*>(answer), static_cast<std::size_t>(length));
          q.done.set();
        },
        &query);
    arm_timer();
  }

  // c-ares opens and closes its own sockets; Asio only waits for them.
  void watch(ares_socket_t fd, bool readable, bool writable) {
    auto found = sockets_.find(fd);
    if (!readable && !writable) {
      if (found == sockets_.end()) return;
      found->second->wants_read = found->second->wants_write = false;
      found->second->descriptor.release();
      sockets_.erase(found);
      return;
    }
    if (found == sockets_.end()) found = sockets_.emplace(fd, std::make_shared<Socket>(io_, fd)).first;
    auto socket = found->second;
    socket->wants_read = readable;
    socket->wants_write = writable;
    wait(fd, socket);
  }

  void wait(ares_socket_t fd, const std::shared_ptr<Socket>& socket) {
    if (socket->wants_read && !std::exchange(socket->is_reading, true))
      socket->descriptor.async_wait(Descriptor::wait_read, [this, fd, socket](ErrorCode error) {
        socket->is_reading = false;
        if (!error && socket->wants_read) process(fd, ARES_SOCKET_BAD, socket);
      });
    if (socket->wants_write && !std::exchange(socket->is_writing, true))
      socket->descriptor.async_wait(Descriptor::wait_write, [this, fd, socket](ErrorCode error) {
        socket->is_writing = false;
        if (!error && socket->wants_write) process(ARES_SOCKET_BAD, fd, socket);
      });
  }

  void process(ares_socket_t readable, ares_socket_t writable, const std::shared_ptr<Socket>& socket) {
    ares_process_fd(channel_, readable, writable);
    if (socket->wants_read || socket->wants_write)
      wait(readable != ARES_SOCKET_BAD ? readable : writable, socket);
    arm_timer();
  }

  void arm_timer() {
    timeval span{};
    if (ares_timeout(channel_, nullptr, &span) == nullptr) return timer_.cancel();
    auto wait = std::chrono::seconds(span.tv_sec) + std::chrono::microseconds(span.tv_usec) +
                std::chrono::milliseconds(1);
    timer_.call_at(MonotonicClock::now() + wait, [this](bool came) {
      if (!came) return;
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      arm_timer();
    });
  }

  asio::io_context& io_;
  ares_channel channel_ = nullptr;
  Timer timer_;
  std::map<ares_socket_t, std::shared_ptr<Socket>> sockets_;
  std::vector<std::string> search_domains_;
};

}  // namespace

std::unique_ptr<Resolver> make_cares_resolver(asio::io_context& io, const ResolverConfig& config) {
  return std::make_unique<CaresResolver>(io, config);
}

}  // namespace umbra::hub
