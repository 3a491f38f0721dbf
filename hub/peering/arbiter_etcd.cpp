#include "hub/peering/arbiter_etcd.h"

#include <algorithm>
#include <boost/beast/core/detail/base64.hpp>
#include <nlohmann/json.hpp>

#include "smtp/shadow_verbs.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::json;
using cluster::ArbiterRecord;

constexpr Duration attempt_timeout = 1300ms;
constexpr std::size_t records_max = 1000;

std::string to_base64(std::string_view octets) {
  namespace base64 = boost::beast::detail::base64;
  std::string text(base64::encoded_size(octets.size()), '\0');
  text.resize(base64::encode(text.data(), octets.data(), octets.size()));
  return text;
}

std::optional<std::string> from_base64(const Json& value) {
  namespace base64 = boost::beast::detail::base64;
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  std::string octets(base64::decoded_size(text.size()), '\0');
  octets.resize(base64::decode(octets.data(), text.data(), text.size()).first);
  return octets;
}

/// The first key behind all that begin with `prefix`.
std::string end_of(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);  // an ASCII character: validated
  return prefix;
}

std::string value_of(const ArbiterRecord& record) {
  return Json{{"spool", to_string(record.spool)},
              {"epoch", record.epoch.value},
              {"over", record.is_over},
              {"settled", record.is_settled},
              {"lease_ms", std::chrono::duration_cast<std::chrono::milliseconds>(record.lease).count()},
              {"renewal", record.renewal}}
      .dump();
}

std::optional<ArbiterRecord> record_of(const Json& kv, const std::string& prefix) {
  auto key = kv.contains("key") ? from_base64(kv["key"]) : std::nullopt;
  auto value = kv.contains("value") ? from_base64(kv["value"]) : std::nullopt;
  if (!key || !value || !key->starts_with(prefix) || !kv.contains("mod_revision") ||
      !kv["mod_revision"].is_string())
    return std::nullopt;
  ArbiterRecord record;
  record.hub = key->substr(prefix.size());
  record.version = kv["mod_revision"].get<std::string>();
  auto json = Json::parse(*value, nullptr, false);
  if (!smtp::is_hub_name(record.hub) || !parse_number(record.version) || !json.is_object())
    return std::nullopt;
  auto spool = json.contains("spool") && json["spool"].is_string()
                   ? parse_spool_id(json["spool"].get<std::string>())
                   : std::nullopt;
  bool is_whole = spool && json.contains("epoch") && json["epoch"].is_number_unsigned() &&
                  json.contains("over") && json["over"].is_boolean() && json.contains("settled") &&
                  json["settled"].is_boolean() && json.contains("lease_ms") &&
                  json["lease_ms"].is_number_unsigned() && json.contains("renewal") &&
                  json["renewal"].is_string();
  if (!is_whole) return std::nullopt;
  record.spool = *spool;
  record.epoch = Epoch{json["epoch"].get<std::uint64_t>()};
  record.is_over = json["over"].get<bool>();
  record.is_settled = json["settled"].get<bool>();
  record.lease =
      std::chrono::milliseconds(std::min<std::uint64_t>(json["lease_ms"].get<std::uint64_t>(), 3'600'000));
  record.renewal = json["renewal"].get<std::string>();
  return record;
}

}  // namespace

std::string etcd_range_request(const std::string& prefix) {
  return Json{{"key", to_base64(prefix)}, {"range_end", to_base64(end_of(prefix))}, {"limit", records_max}}
      .dump();
}

std::string etcd_txn_request(const std::string& prefix, const ArbiterRecord& record) {
  auto key = to_base64(prefix + record.hub);
  // A key that is not there has the revision 0.
  Json compare{{"key", key},
               {"target", "MOD"},
               {"result", "EQUAL"},
               {"mod_revision", record.version.empty() ? "0" : record.version}};
  Json put{{"request_put", {{"key", key}, {"value", to_base64(value_of(record))}}}};
  return Json{{"compare", Json::array({compare})}, {"success", Json::array({put})}}.dump();
}

std::optional<std::vector<ArbiterRecord>> parse_etcd_range(const std::string& body,
                                                           const std::string& prefix) {
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("header")) return std::nullopt;
  std::vector<ArbiterRecord> records;
  if (!json.contains("kvs")) return records;  // none
  if (!json["kvs"].is_array() || json["kvs"].size() > records_max) return std::nullopt;
  for (const auto& kv : json["kvs"])
    if (auto record = kv.is_object() ? record_of(kv, prefix) : std::nullopt)
      records.push_back(std::move(*record));
  return records;
}

std::optional<bool> parse_etcd_txn(const std::string& body) {
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("header")) return std::nullopt;
  if (!json.contains("succeeded")) return false;  // protobuf's JSON leaves a false out
  if (!json["succeeded"].is_boolean()) return std::nullopt;
  return json["succeeded"].get<bool>();
}

EtcdArbiter::EtcdArbiter(Runtime runtime, const ArbiterConfig& config)
    : runtime_(runtime), config_(config), tasks_(runtime.io) {
  for (auto* lane : {&lists_, &writes_})
    for (const auto& endpoint : config.endpoints)
      lane->clients.push_back(std::make_unique<HttpClient>(
          runtime, HttpServer{endpoint, config.ca_file, config.certificate_file, config.key_file}));
}

EtcdArbiter::~EtcdArbiter() = default;

void EtcdArbiter::stop() {
  is_stopping_ = true;
  for (auto* lane : {&lists_, &writes_})
    for (auto& client : lane->clients) client->close();
}

void EtcdArbiter::list(std::function<void(std::optional<std::vector<ArbiterRecord>>)> done) {
  tasks_.spawn("etcd list", run_list(std::move(done)));
}

void EtcdArbiter::write(ArbiterRecord record, std::function<void(Written)> done) {
  tasks_.spawn("etcd write", run_write(std::move(record), std::move(done)));
}

Task<std::optional<std::string>> EtcdArbiter::ask(Lane& lane, std::string target, std::string body,
                                                  bool is_repeatable) {
  auto deadline = MonotonicClock::now() + cluster::arbiter_patience;
  for (std::size_t i = 0; i < lane.clients.size() && !is_stopping_ && MonotonicClock::now() < deadline; ++i) {
    auto& client = *lane.clients[lane.at];
    auto until = std::min(deadline, MonotonicClock::now() + attempt_timeout);
    auto response = co_await client.send({"POST", target, {}, body}, until);
    if (response && response->status == 200) {
      trouble_.clear();
      co_return std::move(response->body);
    }
    trouble_ = to_string(client.server().address) + ": " +
               (response ? "HTTP " + std::to_string(response->status)
                         : response.error().what + ": " + response.error().code.message());
    lane.at = (lane.at + 1) % lane.clients.size();
    if (!is_repeatable && !response && response.error().code != std::errc::connection_refused) break;
  }
  co_return std::nullopt;
}

Task<void> EtcdArbiter::run_list(std::function<void(std::optional<std::vector<ArbiterRecord>>)> done) {
  auto body = co_await ask(lists_, "/v3/kv/range", etcd_range_request(config_.prefix), true);
  auto records = body ? parse_etcd_range(*body, config_.prefix) : std::nullopt;
  if (body && !records) trouble_ = "an answer that is not etcd's";
  done(std::move(records));
}

Task<void> EtcdArbiter::run_write(ArbiterRecord record, std::function<void(Written)> done) {
  // A swap that was carried out without an answer conflicts when it is repeated: the caller looks again
  // either way.
  auto body = co_await ask(writes_, "/v3/kv/txn", etcd_txn_request(config_.prefix, record), false);
  auto succeeded = body ? parse_etcd_txn(*body) : std::nullopt;
  done(!succeeded ? Written::unavailable : *succeeded ? Written::yes : Written::conflict);
}

}  // namespace umbra::hub
