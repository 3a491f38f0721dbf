#include "hub/peering/arbiter_kubernetes.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/iso_time.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::json;
using cluster::ArbiterRecord;

constexpr Duration request_timeout = 3s;
constexpr Duration retry_after_max = 1min;
constexpr std::size_t records_max = 1000;
constexpr const char* over_key = "umbra/epoch-over";
constexpr const char* settled_key = "umbra/settled";

/// The first line of a small file; empty: it cannot be read.
std::string read_small(const std::string& file) {
  std::ifstream in(file);
  std::string text(16384, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  return text;
}

/// Names of objects are lower case letters, digits, '-' and '.'; a hub's name has more.
std::string object_name(const std::string& prefix, const std::string& hub) {
  std::string name = prefix;
  for (char c : hub) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '_' ? '-' : c;
  return name;
}

const std::string* text_at(const Json& json, const char* key) {
  auto at = json.find(key);
  return at != json.end() && at->is_string() ? &at->get_ref<const std::string&>() : nullptr;
}

std::optional<ArbiterRecord> record_of(const Json& item) {
  auto metadata = item.find("metadata");
  auto spec = item.find("spec");
  if (metadata == item.end() || !metadata->is_object() || spec == item.end() || !spec->is_object())
    return std::nullopt;
  auto annotations = metadata->find("annotations");
  if (annotations == metadata->end() || !annotations->is_object()) return std::nullopt;
  const auto* hub = text_at(*annotations, "umbra/hub");
  const auto* version = text_at(*metadata, "resourceVersion");
  const auto* holder = text_at(*spec, "holderIdentity");
  const auto* renewal = text_at(*spec, "renewTime");
  if (hub == nullptr || version == nullptr || holder == nullptr || !smtp::is_hub_name(*hub) ||
      version->empty())
    return std::nullopt;
  auto slash = holder->find('/');
  if (slash == std::string::npos) return std::nullopt;
  auto spool = parse_spool_id(std::string_view(*holder).substr(0, slash));
  auto epoch = parse_number(std::string_view(*holder).substr(slash + 1));
  if (!spool || !epoch) return std::nullopt;
  ArbiterRecord record{
      *hub, *spool, Epoch{*epoch}, false, false, Duration{}, renewal != nullptr ? *renewal : "", *version};
  if (const auto* over = text_at(*annotations, over_key)) record.is_over = *over == "true";
  if (const auto* settled = text_at(*annotations, settled_key)) record.is_settled = *settled == "true";
  if (auto seconds = spec->find("leaseDurationSeconds");
      seconds != spec->end() && seconds->is_number_unsigned())
    record.lease = std::chrono::seconds(std::min<std::uint64_t>(seconds->get<std::uint64_t>(), 3600));
  return record;
}

}  // namespace

std::string kubernetes_lease(const std::string& prefix, const std::string& name_space,
                             const ArbiterRecord& record, WallTime now) {
  const auto stamp = iso_time_microseconds(now);
  Json metadata{{"name", object_name(prefix, record.hub)},
                {"namespace", name_space},
                {"labels", {{"app.kubernetes.io/managed-by", "umbra"}}},
                {"annotations",
                 {{"umbra/hub", record.hub},
                  {over_key, record.is_over ? "true" : "false"},
                  {settled_key, record.is_settled ? "true" : "false"}}}};
  if (!record.version.empty()) metadata["resourceVersion"] = record.version;
  auto lease_s = std::chrono::ceil<std::chrono::seconds>(record.lease).count();
  return Json{{"apiVersion", "coordination.k8s.io/v1"},
              {"kind", "Lease"},
              {"metadata", std::move(metadata)},
              {"spec",
               {{"holderIdentity", to_string(record.spool) + '/' + std::to_string(record.epoch.value)},
                {"leaseDurationSeconds", std::max<std::int64_t>(lease_s, 1)},
                {"renewTime", stamp}}}}
      .dump();
}

std::optional<std::vector<ArbiterRecord>> parse_kubernetes_leases(const std::string& body,
                                                                  const std::string& prefix) {
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("items") || !json["items"].is_array() ||
      json["items"].size() > records_max)
    return std::nullopt;
  std::vector<ArbiterRecord> records;
  for (const auto& item : json["items"]) {
    if (!item.is_object()) continue;
    auto record = record_of(item);
    if (!record) continue;
    const auto* name = text_at(item["metadata"], "name");
    if (name != nullptr && *name == object_name(prefix, record->hub)) records.push_back(std::move(*record));
  }
  return records;
}

KubernetesArbiter::KubernetesArbiter(Runtime runtime, const ArbiterConfig& config)
    : runtime_(runtime),
      config_(config),
      namespace_(config.name_space.empty() ? read_small(config.namespace_file) : config.name_space),
      lists_(runtime, {config.endpoints.front(), config.ca_file, config.certificate_file, config.key_file}),
      writes_(runtime, {config.endpoints.front(), config.ca_file, config.certificate_file, config.key_file}),
      tasks_(runtime.io) {}

KubernetesArbiter::~KubernetesArbiter() = default;

void KubernetesArbiter::stop() {
  is_stopping_ = true;
  lists_.close();
  writes_.close();
}

void KubernetesArbiter::list(std::function<void(std::optional<std::vector<ArbiterRecord>>)> done) {
  tasks_.spawn("list leases", run_list(std::move(done)));
}

void KubernetesArbiter::write(ArbiterRecord record, std::function<void(Written)> done) {
  tasks_.spawn("write a lease", run_write(std::move(record), std::move(done)));
}

std::string KubernetesArbiter::path() const {
  return "/apis/coordination.k8s.io/v1/namespaces/" + namespace_ + "/leases";
}

Task<std::optional<HttpResponse>> KubernetesArbiter::ask(HttpClient& client, HttpRequest request) {
  if (is_stopping_ || MonotonicClock::now() < not_before_) co_return std::nullopt;
  if (auto token = config_.token_file.empty() ? std::string() : read_small(config_.token_file);
      !token.empty())
    request.fields.emplace_back("Authorization", "Bearer " + token);
  auto response = co_await client.send(std::move(request), MonotonicClock::now() + request_timeout);
  if (!response) {
    trouble_ = response.error().what + ": " + response.error().code.message();
    co_return std::nullopt;
  }
  bool is_busy = response->status == 429 || response->status == 503;
  if (is_busy)
    not_before_ =
        MonotonicClock::now() + std::min<Duration>(response->retry_after.value_or(1s), retry_after_max);
  bool is_good = response->status / 100 == 2 || response->status == 409;
  if (is_good)
    trouble_.clear();
  else
    trouble_ = "the API server said HTTP " + std::to_string(response->status);
  co_return std::move(*response);
}

Task<void> KubernetesArbiter::run_list(std::function<void(std::optional<std::vector<ArbiterRecord>>)> done) {
  // Without resourceVersion: the most recent state, not what a cache has (410 cannot come).
  auto response =
      co_await ask(lists_, {"GET", path() + "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dumbra", {}, {}});
  auto records = response && response->status == 200 ? parse_kubernetes_leases(response->body, config_.prefix)
                                                     : std::nullopt;
  if (response && response->status == 200 && !records) trouble_ = "an answer that is not a list of leases";
  done(std::move(records));
}

Task<void> KubernetesArbiter::run_write(ArbiterRecord record, std::function<void(Written)> done) {
  auto body = kubernetes_lease(config_.prefix, namespace_, record, WallClock::now());
  bool is_new = record.version.empty();
  auto target = is_new ? path() : path() + "/" + object_name(config_.prefix, record.hub);
  auto response = co_await ask(writes_, {is_new ? "POST" : "PUT", std::move(target), {}, std::move(body)});
  if (response && response->status / 100 == 2) co_return done(Written::yes);
  // 404: it was deleted since; 410: what was seen is too old. Both: look again.
  bool is_conflict =
      response && (response->status == 409 || response->status == 404 || response->status == 410);
  done(is_conflict ? Written::conflict : Written::unavailable);
}

}  // namespace umbra::hub
