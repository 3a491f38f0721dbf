// How much each client may send: named policies for networks, listeners and users, with rates by the minute
// and connections at once, counted by the client's address or user. Owned by the hub, shared by its
// listeners; home thread. Bounded: of addresses beyond a hundred thousand at work within two minutes the rest
// share one count.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rate_window.h"
#include "hub/config/config.h"
#include "smtp/reply.h"

namespace umbra::hub {

class Throttle {
  struct Budget;

 public:
  /// `hubs`: how many share what a policy of scope `cluster` gives, this one included. The policies must
  /// outlive it.
  Throttle(const std::vector<ThrottlingPolicyConfig>& policies, std::function<std::size_t()> hubs);
  ~Throttle();

  /// One connection. Each question counts when it is answered with nothing; a reply refuses, and says how
  /// long to wait.
  class Client {
   public:
    Client() = default;
    Client(Client&& other) noexcept;
    Client& operator=(Client&&) = delete;
    ~Client();
    /// 421 4.7.0, which closes. Asked once, before anything is said.
    std::optional<smtp::Reply> connect();
    /// 450 4.7.1, at MAIL.
    std::optional<smtp::Reply> message();
    /// 450 4.7.1, at RCPT.
    std::optional<smtp::Reply> recipient();
    /// The client, with the address and at the listener of the beginning, has logged on: its mail counts by
    /// the policy for that user from now on.
    void log_on(std::string_view address, std::string_view listener, std::string_view user);

   private:
    friend class Throttle;
    using Limit = std::uint32_t ThrottlingPolicyConfig::*;
    std::optional<smtp::Reply> mail(RateWindow Budget::* window, Limit limit, std::string_view what);
    /// Why not; nothing: one more is counted.
    std::optional<std::string> take(RateWindow& window, std::uint32_t configured, std::string_view what);
    Throttle* owner_ = nullptr;
    std::shared_ptr<const ThrottlingPolicyConfig>
        policy_;  // null: nothing is counted. Until the connection ends the one of its beginning
    std::shared_ptr<Budget> connections_;
    std::shared_ptr<Budget> mail_;
    bool is_open_ = false;
  };
  /// By a policy for the user; then by the policy with the smallest range (or the host) that the client lies
  /// in; then by one for its listener; then by one for all.
  Client client(std::string_view address, std::string_view listener);
  /// For the clients that come from now on.
  void configuration_changed();
  /// Of the hosts that policies name, as far as they are known; the same.
  using Addresses = std::map<std::string, std::vector<AddressRange>>;
  void set_addresses(Addresses addresses) { addresses_ = std::move(addresses); }
  /// That are counted now.
  [[nodiscard]] std::size_t sources() const { return budgets_.size(); }

 private:
  [[nodiscard]] std::shared_ptr<const ThrottlingPolicyConfig> find(std::string_view address,
                                                                   std::string_view listener,
                                                                   std::string_view user) const;
  std::shared_ptr<Budget> mail_budget(const ThrottlingPolicyConfig& policy, const std::string& source,
                                      std::string_view user);
  std::shared_ptr<Budget> budget_of(const ThrottlingPolicyConfig& policy, std::string source);
  void forget_the_idle(MonotonicTime now);
  [[nodiscard]] std::uint32_t share(const ThrottlingPolicyConfig& policy, std::uint32_t limit) const;

  const std::vector<ThrottlingPolicyConfig>& configured_;
  std::vector<std::shared_ptr<const ThrottlingPolicyConfig>> policies_;
  std::function<std::size_t()> hubs_;
  Addresses addresses_;
  std::unordered_map<std::string, std::shared_ptr<Budget>> budgets_;
  MonotonicTime next_look_ = MonotonicTime::min();
};

}  // namespace umbra::hub
