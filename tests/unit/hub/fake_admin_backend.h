// A hub for the admin API that answers from plain members.
#pragma once

#include <map>

#include "hub/admin/backend.h"
#include "hub/admin/trace_control.h"

namespace umbra::hub {

class FakeDrain final : public DrainControl {
 public:
  Task<Result<std::string>> begin(cluster::DrainOrder order) override {
    orders.push_back(std::move(order));
    if (is_broken) co_return failure(std::errc::no_space_on_device, "write the order");
    co_return refusal;
  }
  Task<Result<void>> undrain() override {
    ++undrained;
    if (is_broken) co_return failure(std::errc::no_space_on_device, "write the order");
    co_return Result<void>{};
  }
  Task<Result<DrainReport>> report() override { co_return now; }
  Task<Result<DrainPreview>> preview(cluster::DrainOrder order) override {
    previewed.push_back(std::move(order));
    what.refused = refusal;
    co_return what;
  }

  std::vector<cluster::DrainOrder> orders;
  std::vector<cluster::DrainOrder> previewed;
  bool is_broken = false;
  std::string refusal;
  int undrained = 0;
  DrainReport now;
  DrainPreview what;
};

class FakeSafetyNet final : public SafetyNetControl {
 public:
  Task<Result<KeptPage>> list(KeptFilter filter, WallTime from, RowId after, std::size_t limit) override {
    filters.push_back(to_query(filter));
    positions.emplace_back(from, after, limit);
    co_return page;
  }
  Task<Result<ResendPreview>> preview(KeptFilter filter) override {
    filters.push_back(to_query(filter));
    co_return what;
  }
  Task<Result<ResendAnswer>> begin(std::string request, KeptFilter filter) override {
    filters.push_back(to_query(filter));
    known.request = request;
    co_return ResendAnswer{refusal, known};
  }
  Task<Result<std::optional<storage::Resend>>> find(std::string request) override {
    co_return request == known.request ? std::optional(known) : std::nullopt;
  }
  Task<Result<std::vector<storage::Resend>>> recent() override { co_return std::vector{known}; }
  Task<Result<bool>> cancel(std::string request) override { co_return request == known.request; }

  KeptPage page;
  ResendPreview what;
  storage::Resend known;
  std::string refusal;
  std::vector<std::string> filters;
  std::vector<std::tuple<WallTime, RowId, std::size_t>> positions;
};

class FakeTracer final : public TraceControl {
 public:
  Task<Result<Json>> trace(TraceQuestion question) override {
    questions.push_back(std::move(question));
    co_return answer;
  }
  std::vector<TraceQuestion> questions;
  Json answer = {{"messages", Json::array()}};
};

class FakeAdminBackend final : public AdminBackend {
 public:
  [[nodiscard]] HubIdentity identity() const override {
    return {"hub-a", "a.example", SpoolId{0x1234}, Epoch{3}};
  }
  [[nodiscard]] Health health() const override { return now; }
  [[nodiscard]] const Metrics& metrics() const override { return counted; }
  [[nodiscard]] std::vector<PeerReport> peers() const override { return known_peers; }
  Task<Result<Gauges>> gauges() override {
    if (broken) co_return failure(std::errc::io_error, "count the queue");
    co_return measured;
  }
  DrainControl& drain() override { return fake_drain; }
  FakeDrain fake_drain;
  SafetyNetControl& safety_net() override { return fake_net; }
  FakeSafetyNet fake_net;
  TraceControl& tracer() override { return fake_tracer; }
  FakeTracer fake_tracer;
  Suspensions& suspensions() override { return *fake_suspensions; }
  Suspensions* fake_suspensions = nullptr;
  Task<std::vector<HubAnswer>> ask_hubs(std::string target) override {
    passed_on.push_back(std::move(target));
    co_return hub_answers;
  }
  Task<HubAnswer> ask_hub(std::string hub, std::string target) override {
    return order_hub(std::move(hub), "", std::move(target));
  }
  Task<HubAnswer> order_hub(std::string hub, std::string by, std::string target) override {
    passed_on.push_back(hub + " " + by + " " + target);
    for (const auto& said : hub_answers)
      if (said.hub == hub) co_return said;
    co_return HubAnswer{hub, 404, {}, "there is no hub of that name in this cluster"};
  }
  Task<std::vector<HubAnswer>> order_hubs(std::string by, std::string target) override {
    passed_on.push_back(by + " " + target);
    co_return hub_answers;
  }
  std::vector<std::string> passed_on;
  std::vector<HubAnswer> hub_answers;
  std::string why_not_suspend(const Suspension& suspension) const override {
    return suspension.name == "none" ? "there is no listener none" : "";
  }
  Task<Result<std::vector<storage::StoredMessage>>> messages(RowId after, std::size_t limit) override {
    co_return page(queue, after, limit);
  }
  Task<Result<std::optional<storage::StoredMessage>>> message(MessageId id) override {
    co_return find(queue, id);
  }
  Task<Result<QueuePage>> search_queue(QueueFilter filter, RowId after, std::size_t limit) override {
    QueuePage result;
    result.reached = after;
    for (const auto& message : queue) {
      if (message.row <= after) continue;
      if (result.found.size() >= limit || result.looked_at >= rows_looked_at_once) co_return result;
      result.reached = message.row;
      ++result.looked_at;
      if (matches(message, filter)) result.found.push_back(queue_row(message));
    }
    result.is_end = true;
    co_return result;
  }
  std::size_t rows_looked_at_once = 500;
  Task<Result<std::vector<storage::Shadow>>> shadows(RowId after, std::size_t limit) override {
    co_return page(held, after, limit);
  }
  Task<Result<std::optional<storage::Shadow>>> shadow(MessageId id) override { co_return find(held, id); }
  const ConfigState& configuration() const override { return configured; }
  ConfigReload reload_configuration() override { return reloaded; }
  std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> preview_configuration() const override {
    return preview;
  }
  std::vector<CertificateReport> certificates() override { return loaded_certificates; }
  std::vector<CertificateReport> reload_certificates() override { return loaded_certificates; }
  Task<Result<ActionOutcome>> act(MessageId id, QueueAction action, std::string next_hop) override {
    if (!find(queue, id)) co_return ActionOutcome{ActionOutcome::Kind::not_found, {}};
    acted.emplace_back(id, action);
    if (action == QueueAction::reroute) rerouted_to.push_back(std::move(next_hop));
    co_return answer;
  }

  /// A message with the given number.
  void add(std::int64_t number, std::size_t recipients = 1) {
    storage::StoredMessage message;
    message.row = RowId{number};
    message.id = MessageId{SpoolId{0x1234}, static_cast<std::uint64_t>(number)};
    message.envelope.sender = "sender@example.com";
    for (std::size_t i = 0; i < recipients; ++i)
      message.envelope.recipients.push_back({"r" + std::to_string(i) + "@example.net", {}, 0});
    message.envelope.client_helo = "bad\xff\xfe";
    message.size = 4096;
    message.holders = {{"hub-b", SpoolId{0x99}, storage::Holder::State::holds}};
    message.queue = {{"example.net", WallTime(1'700'000'000s), 2}};
    message.last_error = "451 later";
    queue.push_back(message);
  }
  void add_shadow(std::int64_t number) {
    storage::Shadow shadow;
    shadow.row = RowId{number};
    shadow.id = MessageId{SpoolId{0x77}, static_cast<std::uint64_t>(number)};
    shadow.owner_hub = "hub-b";
    shadow.envelope.recipients = {{"a@example.net", {}, 0}, {"b@example.net", {}, 0}};
    shadow.done = {1};
    held.push_back(shadow);
  }

  Health now{true, true, {}};
  Metrics counted;
  Gauges measured;
  bool broken = false;
  std::vector<PeerReport> known_peers;
  std::vector<storage::StoredMessage> queue;
  std::vector<storage::Shadow> held;
  std::vector<std::pair<MessageId, QueueAction>> acted;
  std::vector<std::string> rerouted_to;
  ActionOutcome answer;
  std::vector<CertificateReport> loaded_certificates;
  std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> preview;
  ConfigState configured;
  ConfigReload reloaded;

 private:
  template <class Row>
  static std::vector<Row> page(const std::vector<Row>& rows, RowId after, std::size_t limit) {
    std::vector<Row> out;
    for (const auto& row : rows) {
      if (row.row > after && out.size() < limit) out.push_back(row);
    }
    return out;
  }
  template <class Row>
  static std::optional<Row> find(const std::vector<Row>& rows, MessageId id) {
    for (const auto& row : rows) {
      if (row.id == id) return row;
    }
    return std::nullopt;
  }
};

}  // namespace umbra::hub
