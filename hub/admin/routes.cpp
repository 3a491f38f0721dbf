#include "hub/admin/routes.h"

#include "hub/admin/api.h"

namespace umbra::hub {

std::span<const ApiRoute> AdminApi::routes() {
  using enum AdminRole;
  constexpr auto own = ForHubs::no;
  constexpr auto hubs = ForHubs::yes;
  using Api = AdminApi;
  using Call = ApiCall;
  // What is more special stands before what is less: "/v1/queue/search" before "/v1/queue/{id}".
  static constexpr ApiRoute table[] = {
      {"GET", "/healthz/startup", none, own, [](Api& api, Call) { return at_once(api.health(false)); }},
      {"GET", "/healthz/live", none, own, [](Api& api, Call) { return at_once(api.health(false)); }},
      {"GET", "/healthz/ready", none, own, [](Api& api, Call) { return at_once(api.health(true)); }},
      {"GET", "/metrics", none, own, [](Api& api, Call) { return api.metrics(); }},

      {"GET", "/v1/openapi.json", read, own, [](Api&, Call) { return at_once(description()); }},
      {"GET", "/v1/status", read, hubs, [](Api& api, Call) { return api.status(); }},
      {"GET", "/v1/peers", read, own, [](Api& api, Call) { return at_once(api.peers()); }},
      {"GET", "/v1/configuration", read, hubs,
       [](Api& api, Call) { return at_once(api.configuration(false)); }},
      {"GET", "/v1/configuration/diff", read, own,
       [](Api& api, Call) { return at_once(api.configuration(true)); }},
      {"GET", "/v1/certificates", read, own, [](Api& api, Call) { return at_once(api.certificates()); }},
      {"POST", "/v1/reload", write, own, [](Api& api, Call) { return at_once(api.reload()); }},

      {"GET", "/v1/queue", read, hubs, [](Api& api, Call call) { return api.queue(std::move(call.query)); }},
      {"GET", "/v1/queue/search", read, hubs,
       [](Api& api, Call call) { return api.search_queue(std::move(call.query), call.is_passed_on); }},
      {"POST", "/v1/queue/search/retry", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::retry); }},
      {"POST", "/v1/queue/search/hold", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::hold); }},
      {"POST", "/v1/queue/search/release", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::release); }},
      {"POST", "/v1/queue/search/bounce", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::bounce); }},
      {"POST", "/v1/queue/search/delete", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::remove); }},
      {"POST", "/v1/queue/search/reroute", write, hubs,
       [](Api& api, Call call) { return api.act_on_found(std::move(call), QueueAction::reroute); }},
      {"GET", "/v1/queue/{id}", read, own,
       [](Api& api, Call call) { return api.one_message(std::move(call.words[0])); }},
      {"POST", "/v1/queue/{id}/retry", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::retry, std::move(call.query));
       }},
      {"POST", "/v1/queue/{id}/hold", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::hold, std::move(call.query));
       }},
      {"POST", "/v1/queue/{id}/release", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::release, std::move(call.query));
       }},
      {"POST", "/v1/queue/{id}/bounce", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::bounce, std::move(call.query));
       }},
      {"POST", "/v1/queue/{id}/delete", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::remove, std::move(call.query));
       }},
      {"POST", "/v1/queue/{id}/reroute", write, own,
       [](Api& api, Call call) {
         return api.act(std::move(call.words[0]), QueueAction::reroute, std::move(call.query));
       }},
      {"GET", "/v1/shadows", read, own,
       [](Api& api, Call call) { return api.shadows(std::move(call.query)); }},
      {"GET", "/v1/trace", read, hubs, [](Api& api, Call call) { return api.trace(std::move(call)); }},
      {"GET", "/v1/watch", read, own, [](Api& api, Call call) { return at_once(api.watch(call.query)); }},

      {"GET", "/v1/drain", read, hubs, [](Api& api, Call) { return api.drain_state(); }},
      {"POST", "/v1/drain", write, hubs,
       [](Api& api, Call call) { return api.begin_drain(std::move(call.query)); }},
      {"GET", "/v1/drain/preview", read, hubs,
       [](Api& api, Call call) { return api.preview_drain(std::move(call.query)); }},
      {"POST", "/v1/undrain", write, hubs, [](Api& api, Call) { return api.undrain(); }},

      {"GET", "/v1/suspensions", read, own, [](Api& api, Call) { return at_once(api.suspensions()); }},
      {"POST", "/v1/suspend", write, own,
       [](Api& api, Call call) { return api.suspend(std::move(call.query)); }},
      {"POST", "/v1/resume", write, own,
       [](Api& api, Call call) { return api.resume(std::move(call.query)); }},

      {"GET", "/v1/safety-net", read, own,
       [](Api& api, Call call) { return api.list_kept(std::move(call.query)); }},
      {"GET", "/v1/safety-net/preview", read, own,
       [](Api& api, Call call) { return api.preview_resend(std::move(call.query)); }},
      {"POST", "/v1/safety-net/resend", write, own,
       [](Api& api, Call call) { return api.begin_resend(std::move(call.query)); }},
      {"GET", "/v1/safety-net/requests", read, own, [](Api& api, Call) { return api.list_resends(); }},
      {"GET", "/v1/safety-net/requests/{name}", read, own,
       [](Api& api, Call call) { return api.one_resend(std::move(call.words[0])); }},
      {"POST", "/v1/safety-net/requests/{name}/cancel", write, own,
       [](Api& api, Call call) { return api.cancel_resend(std::move(call.words[0])); }},

      {"GET", "/v1/cluster/status", read, own, [](Api& api, Call) { return api.cluster_status(); }},
      {"GET", "/v1/cluster/configuration", read, own,
       [](Api& api, Call) { return api.cluster_configuration(); }},
      {"GET", "/v1/cluster/queue", read, own,
       [](Api& api, Call call) { return api.cluster_queue(std::move(call.query)); }},
      {"GET", "/v1/messages/{id}", read, hubs,
       [](Api& api, Call call) { return api.copies(std::move(call)); }},
      {"GET", "/v1/hubs/{hub}/drain", read, own,
       [](Api& api, Call call) { return api.drain_of(std::move(call)); }},
      {"POST", "/v1/hubs/{hub}/pause", write, own,
       [](Api& api, Call call) { return api.order_drain(std::move(call), "pause"); }},
      {"POST", "/v1/hubs/{hub}/drain", write, own,
       [](Api& api, Call call) { return api.order_drain(std::move(call), "drain"); }},
      {"POST", "/v1/hubs/{hub}/leave", write, own,
       [](Api& api, Call call) { return api.order_drain(std::move(call), "leave"); }},
      {"POST", "/v1/hubs/{hub}/undrain", write, own,
       [](Api& api, Call call) { return api.order_undrain(std::move(call)); }},
  };
  return table;
}

std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path) {
  std::vector<std::string> words;
  while (true) {
    auto wanted = pattern.substr(0, pattern.find('/'));
    auto given = path.substr(0, path.find('/'));
    if (wanted.starts_with('{')) {
      if (given.empty()) return std::nullopt;
      words.emplace_back(given);
    } else if (wanted != given) {
      return std::nullopt;
    }
    const bool is_last = wanted.size() == pattern.size();
    if (is_last != (given.size() == path.size())) return std::nullopt;
    if (is_last) return words;
    pattern.remove_prefix(wanted.size() + 1);
    path.remove_prefix(given.size() + 1);
  }
}

}  // namespace umbra::hub
