#include "tests/simulation/hub_process.h"

#include "hub/admin/backend.h"
#include "hub/spool_tasks.h"

namespace umbra::simulation {
namespace {

std::string text_of(std::initializer_list<hub::LogField> fields) {
  std::string text;
  for (const auto& field : fields) {
    text += ' ';
    text += field.name;
    text += '=';
    if (const auto* words = std::get_if<std::string_view>(&field.value)) {
      text += *words;
    } else {
      text += std::to_string(std::get<std::int64_t>(field.value));
    }
  }
  return text;
}

}  // namespace

void HubLog::message(hub::MessageEvent event, MessageId id, std::initializer_list<hub::LogField> fields) {
  if (is_muted_) return;
  ++counts_[event];
  if (event == hub::MessageEvent::delivered) ledger_.delivered_by(name_, to_string(id));
  if (event == hub::MessageEvent::possible_duplicate) ledger_.possible_duplicate(to_string(id));
  world_.say(name_, "{} {}{}", to_string(event), to_string(id), text_of(fields));
  if (on_event_) on_event_(event);
}

void HubLog::line(hub::LogLevel level, std::string_view text, std::initializer_list<hub::LogField> fields) {
  if (is_muted_ || level == hub::LogLevel::debug) return;
  world_.say(name_, "says: {}{}", text, text_of(fields));
}

HubProcess::HubProcess(const Setting& setting)
    : host_(setting.world, setting.config.hub_name + "#" + std::to_string(setting.run), setting.address,
            setting.skew),
      network_(setting.fabric, host_),
      resolver_(host_, setting.names),
      random_(setting.world.random().fork("hub " + host_.name())),
      log_(setting.world, setting.ledger, host_.name()),
      home_(host_),
      writer_(host_, home_, setting.speed, "writer"),
      reader_(host_, home_, setting.speed, "reader"),
      arbiter_(setting.arbiter != nullptr ? std::make_unique<ArbiterClient>(*setting.arbiter, host_)
                                          : nullptr),
      config_(setting.config),
      vfs_(setting.vfs),
      attempts_(setting.attempts),
      drain_(setting.drain),
      pause_(host_.io()),
      scope_(host_.io()) {}

void HubProcess::on_disk_used(std::function<void()> callback) {
  writer_.on_job(callback);
  reader_.on_job(std::move(callback));
}

HubProcess::~HubProcess() {
  UMBRA_ASSERT(!hub_ || is_stopped_);
  host_.run([this] {
    hub_.reset();
    writer_.drop();
    reader_.drop();
  });
}

Result<void> HubProcess::begin() {
  Result<void> result;
  host_.run([&] {
    auto made = hub::Hub::make(config_, {.runtime = {host_.io(), random_, network_, resolver_},
                                         .writer_lane = writer_,
                                         .reader_lane = reader_,
                                         .home = home_,
                                         .log = log_,
                                         .spool_vfs = vfs_,
                                         .attempts = attempts_.get(),
                                         .arbiter = arbiter_.get(),
                                         .drain = drain_.get()});
    if (!made) {
      result = std::unexpected(made.error());
      is_stopped_ = true;
      return;
    }
    hub_ = std::move(*made);
    result = hub_->start();
  });
  return result;
}

// On behalf of an operator: what the ledger is told is what the operator was told.
hub::Task<void> HubProcess::carry_out(Order order, std::uint64_t pick, Ledger& ledger) {
  constexpr std::size_t page = 1000;
  auto wanted = order == Order::hold ? storage::MessageState::queued : storage::MessageState::held;
  auto found = co_await hub::query<std::vector<MessageId>>(
      host_.io(), hub_->spool(), [wanted](storage::Reader& r) -> Result<std::vector<MessageId>> {
        std::vector<MessageId> ids;
        auto rows = r.messages(RowId{0}, RowId{INT64_MAX}, page);
        if (!rows) return std::unexpected(rows.error());
        for (auto row : *rows) {
          auto message = r.message(row);
          if (!message) return std::unexpected(message.error());
          if (*message && (*message)->state == wanted) ids.push_back((*message)->id);
        }
        return ids;
      });
  if (found && !found->empty() && order != Order::release_all) *found = {(*found)[pick % found->size()]};
  for (std::size_t i = 0; found && i < found->size() && !is_stopping_; ++i) {
    auto id = (*found)[i];
    if (order != Order::hold) ledger.released(to_string(id));
    auto done = co_await dynamic_cast<hub::AdminBackend&>(*hub_).act(
        id, order == Order::hold ? hub::QueueAction::hold : hub::QueueAction::release, {});
    bool is_done = !is_dead_ && done && done->kind == hub::ActionOutcome::Kind::done;
    if (is_done && order == Order::hold && done->remark.empty()) {
      host_.world().say(host_.name(), "the operator holds {}", to_string(id));
      ledger.held(to_string(id));
    }
  }
  is_operating_ = false;
}

void HubProcess::operate(Order order, std::uint64_t pick, Ledger& ledger) {
  if (is_operating_ || is_stopping_ || !hub_ || host_.is_paused()) return;
  is_operating_ = true;
  host_.run([&] { scope_.spawn("operator", carry_out(order, pick, ledger)); });
}

hub::Task<void> HubProcess::run_stop() {
  co_await hub_->stop();
  // An operator's question that is under way still is answered by the spool's lanes; not before that is the
  // hub destroyed.
  while (scope_.running() > 1) co_await pause_.wait_for(10ms);
  is_stopped_ = true;
}

void HubProcess::stop() {
  if (is_stopping_ || is_stopped_) return;
  is_stopping_ = true;
  stop_began_ = host_.world().now();
  host_.run([this] { scope_.spawn("stop", run_stop()); });
}

void HubProcess::die(bool machine_too) {
  is_dead_ = true;
  log_.mute();
  writer_.hurry();
  reader_.hurry();
  host_.resume();
  if (machine_too) {
    network_.vanish();
  } else {
    network_.kill();
  }
  stop();
}

hub::Task<void> HubProcess::run_order(cluster::DrainOrder order, std::function<void(std::string)> answer) {
  auto begun = co_await hub_->drain().begin(std::move(order));
  answer(begun ? *begun : begun.error().what);
}

hub::Task<void> HubProcess::run_undrain(std::function<void(std::string)> answer) {
  auto undrained = co_await hub_->drain().undrain();
  answer(undrained ? std::string() : undrained.error().what);
}

hub::Task<void> HubProcess::run_report(std::function<void(std::optional<hub::DrainReport>)> answer) {
  auto report = co_await hub_->drain().report();
  answer(report ? std::optional(*report) : std::nullopt);
}

void HubProcess::order(cluster::DrainOrder order, std::function<void(std::string)> answer) {
  host_.run([&] { scope_.spawn("order", run_order(std::move(order), std::move(answer))); });
}

void HubProcess::undrain(std::function<void(std::string)> answer) {
  host_.run([&] { scope_.spawn("undrain", run_undrain(std::move(answer))); });
}

void HubProcess::ask_drain(std::function<void(std::optional<hub::DrainReport>)> answer) {
  host_.run([&] { scope_.spawn("drain report", run_report(std::move(answer))); });
}

void HubProcess::look() {
  if (is_looking_ || is_stopping_ || !hub_ || host_.is_paused()) return;
  is_looking_ = true;
  auto asked = host_.world().now();
  host_.run([this, asked] {
    auto counts = std::make_shared<storage::QueueCounts>();
    auto imbalance = std::make_shared<std::int64_t>(0);
    auto is_read = std::make_shared<bool>(false);
    hub_->spool().read(
        [counts, imbalance, is_read](storage::Reader& reader) {
          auto got = reader.counts();
          auto balance = reader.balance();
          if (got && balance) {
            *counts = *got;
            *imbalance = balance->imbalance();
            *is_read = true;
          }
        },
        [this, asked, counts, imbalance, is_read] {
          is_looking_ = false;
          view_ = {*is_read, asked, *counts, *imbalance};
        });
  });
}

}  // namespace umbra::simulation
