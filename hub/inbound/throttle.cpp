#include "hub/inbound/throttle.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hub/inbound/source.h"

namespace umbra::hub {
namespace {

constexpr std::size_t budgets_max = 100'000;
constexpr Duration idle_after = 2min;

std::int64_t seconds_to_wait(Duration wait) {
  return std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
}

}  // namespace

struct Throttle::Budget {
  RateWindow connections;
  RateWindow messages;
  RateWindow recipients;
  std::uint32_t open = 0;
  MonotonicTime last = MonotonicTime::min();
};

Throttle::Throttle(const std::vector<ThrottlingPolicyConfig>& policies, std::function<std::size_t()> hubs)
    : configured_(policies), hubs_(std::move(hubs)) {
  configuration_changed();
}
Throttle::~Throttle() = default;

void Throttle::configuration_changed() {
  policies_.clear();
  for (const auto& policy : configured_)
    policies_.push_back(std::make_shared<const ThrottlingPolicyConfig>(policy));
}

Throttle::Client Throttle::client(std::string_view address, std::string_view listener) {
  Client client;
  client.owner_ = this;
  client.policy_ = find(address, listener, {});
  if (client.policy_ == nullptr) return client;
  auto source = source_of(address);
  client.connections_ = budget_of(*client.policy_, source);
  client.mail_ = mail_budget(*client.policy_, source, {});
  return client;
}

std::shared_ptr<Throttle::Budget> Throttle::mail_budget(const ThrottlingPolicyConfig& policy,
                                                        const std::string& source, std::string_view user) {
  using Source = ThrottlingPolicyConfig::Source;
  if (policy.message_rate_source == Source::all) return budget_of(policy, "");
  if (policy.message_rate_source == Source::user && !user.empty())
    return budget_of(policy, "user\n" + std::string(user));
  return budget_of(policy, source);
}

void Throttle::Client::log_on(std::string_view address, std::string_view listener, std::string_view user) {
  if (owner_ == nullptr) return;
  policy_ = owner_->find(address, listener, user);
  mail_ = policy_ == nullptr ? nullptr : owner_->mail_budget(*policy_, source_of(address), user);
}

std::shared_ptr<const ThrottlingPolicyConfig> Throttle::find(std::string_view address,
                                                             std::string_view listener,
                                                             std::string_view user) const {
  const auto is_for = [](const std::vector<std::string>& names, std::string_view name) {
    return names.empty() || (!name.empty() && std::ranges::find(names, name) != names.end());
  };
  constexpr AddressRange::Octets everybody = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  // How specific a policy is, the most specific one first: is it for users, for how few addresses, for
  // listeners.
  using Rank = std::tuple<bool, AddressRange::Octets, bool>;
  std::shared_ptr<const ThrottlingPolicyConfig> best;
  std::optional<Rank> best_rank;
  for (const auto& candidate : policies_) {
    const auto& policy = *candidate;
    if (!is_for(policy.listeners, listener) || !is_for(policy.users, user)) continue;
    std::optional<AddressRange::Octets> extent;
    const bool is_for_all = policy.networks.empty() && policy.hosts.empty();
    if (is_for_all) extent = everybody;
    const auto consider = [&](const std::vector<AddressRange>& ranges) {
      for (const auto& range : ranges)
        if (range.contains(address) && (!extent || range.extent() < *extent)) extent = range.extent();
    };
    consider(policy.networks);
    for (const auto& host : policy.hosts)
      if (auto known = addresses_.find(host); known != addresses_.end()) consider(known->second);
    if (!extent) continue;
    Rank rank{policy.users.empty(), *extent, is_for_all && policy.listeners.empty()};
    if (best_rank && *best_rank <= rank) continue;
    best = candidate;
    best_rank = rank;
  }
  return best;
}

std::shared_ptr<Throttle::Budget> Throttle::budget_of(const ThrottlingPolicyConfig& policy,
                                                      std::string source) {
  auto now = MonotonicClock::now();
  auto key = policy.name + '\n' + source;
  auto found = budgets_.find(key);
  if (found == budgets_.end()) {
    if (now >= next_look_) forget_the_idle(now);
    if (budgets_.size() >= budgets_max) key = policy.name + "\nothers";
    found = budgets_.try_emplace(std::move(key)).first;
    if (!found->second) found->second = std::make_shared<Budget>();
  }
  found->second->last = now;
  return found->second;
}

/// What a session holds is at work.
void Throttle::forget_the_idle(MonotonicTime now) {
  std::erase_if(budgets_, [now](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->last + idle_after < now;
  });
  next_look_ = now + (budgets_.size() < budgets_max / 2 ? idle_after : 10s);
}

std::uint32_t Throttle::share(const ThrottlingPolicyConfig& policy, std::uint32_t limit) const {
  if (policy.scope == ThrottlingPolicyConfig::Scope::hub || limit == 0) return limit;
  return std::max<std::uint32_t>(1, limit / static_cast<std::uint32_t>(std::max<std::size_t>(1, hubs_())));
}

Throttle::Client::Client(Client&& other) noexcept
    : owner_(other.owner_),
      policy_(std::move(other.policy_)),
      connections_(std::move(other.connections_)),
      mail_(std::move(other.mail_)),
      is_open_(std::exchange(other.is_open_, false)) {}

Throttle::Client::~Client() {
  if (is_open_) --connections_->open;
  for (auto* budget : {connections_.get(), mail_.get()})
    if (budget != nullptr) budget->last = MonotonicClock::now();
}

std::optional<smtp::Reply> Throttle::Client::connect() {
  if (policy_ == nullptr) return std::nullopt;
  if (auto most = owner_->share(*policy_, policy_->connections_max); most != 0 && connections_->open >= most)
    return smtp::Reply{421, "4.7.0", fmt::format("at most {} connections at once, try again later", most)};
  if (auto why = take(connections_->connections, policy_->connection_rate_limit, "connections"))
    return smtp::Reply{421, "4.7.0", *why};
  ++connections_->open;
  is_open_ = true;
  return std::nullopt;
}

std::optional<smtp::Reply> Throttle::Client::message() {
  return mail(&Budget::messages, &ThrottlingPolicyConfig::message_rate_limit, "messages");
}

std::optional<smtp::Reply> Throttle::Client::recipient() {
  return mail(&Budget::recipients, &ThrottlingPolicyConfig::recipient_rate_limit, "recipients");
}

std::optional<smtp::Reply> Throttle::Client::mail(RateWindow Budget::* window, Limit limit,
                                                  std::string_view what) {
  if (policy_ == nullptr || policy_->message_rate_source == ThrottlingPolicyConfig::Source::none)
    return std::nullopt;
  auto why = take((*mail_).*window, policy_.get()->*limit, what);
  if (!why) return std::nullopt;
  return smtp::Reply{450, "4.7.1", *why};
}

std::optional<std::string> Throttle::Client::take(RateWindow& window, std::uint32_t configured,
                                                  std::string_view what) {
  auto limit = owner_->share(*policy_, configured);
  if (limit == 0) return std::nullopt;
  auto wait = window.take(MonotonicClock::now(), limit);
  if (!wait) return std::nullopt;
  return fmt::format("at most {} {} a minute, try again in {} s", limit, what, seconds_to_wait(*wait));
}

}  // namespace umbra::hub
