#include "hub/logs/tracking_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include <fmt/format.h>

#include "hub/logs/record_logs.h"
#include "hub/logs/trace_context.h"

namespace umbra::hub {
namespace {

/// The fields of a record, in the order of record_kinds, without date-time.
enum Column : std::uint8_t {
  client_ip,
  client_hostname,
  server_ip,
  server_hostname,
  source_context,
  connector_id,
  source,
  event_id,
  internal_message_id,
  message_id,
  network_message_id,
  recipient_address,
  recipient_status,
  total_bytes,
  recipient_count,
  related_recipient_address,
  reference,
  message_subject,
  sender_address,
  return_path,
  message_info,
  directionality,
  original_client_ip,
  custom_data,
  log_id,
  schema_version,
  trace_id,
  span_id,
  columns
};

struct What {
  std::string_view event_id;  ///< empty: no record
  std::string_view source;
};

What what_of(MessageEvent event) {
  switch (event) {
    case MessageEvent::accepted:
      return {"RECEIVE", "SMTP"};
    case MessageEvent::rejected:
      return {"DROP", "SMTP"};
    case MessageEvent::protected_:
      return {"HAREDIRECT", "REDUNDANCY"};
    case MessageEvent::unprotected:
    case MessageEvent::copy_failed:
      return {"HAREDIRECTFAIL", "REDUNDANCY"};
    case MessageEvent::shadow_stored:
      return {"HARECEIVE", "REDUNDANCY"};
    case MessageEvent::discarded:
    case MessageEvent::shadow_dropped:
    case MessageEvent::forgotten:
      return {"HADISCARD", "REDUNDANCY"};
    case MessageEvent::taken_over:
      return {"RESUBMIT", "REDUNDANCY"};
    case MessageEvent::recovered:
      return {"LOAD", "REDUNDANCY"};
    case MessageEvent::resent:
      return {"RESUBMIT", "SAFETYNET"};
    case MessageEvent::ceded:
    case MessageEvent::handed_over:
      return {"TRANSFER", "REDUNDANCY"};
    case MessageEvent::delivered:
      return {"SEND", "SMTP"};
    case MessageEvent::deferred:
      return {"DEFER", "SMTP"};
    case MessageEvent::bounced:
      return {"FAIL", "QUEUE"};
    case MessageEvent::deleted:
      return {"DROP", "ADMIN"};
    case MessageEvent::notified:
      return {"DSN", "DSN"};
    case MessageEvent::delayed:
      return {"AGENTINFO", "QUEUE"};
    case MessageEvent::held:
      return {"HOLD", "QUEUE"};
    case MessageEvent::released:
      return {"RELEASE", "QUEUE"};
    case MessageEvent::rerouted:
      return {"REROUTE", "ADMIN"};
    case MessageEvent::filtered:
    case MessageEvent::filter_bypassed:
      return {"AGENTINFO", "AGENT"};
    case MessageEvent::possible_duplicate:
    case MessageEvent::acknowledgement_delayed:
    case MessageEvent::acknowledgement_not_delayed:
      return {"AGENTINFO", "REDUNDANCY"};
    case MessageEvent::attempted:  // its outcome follows
    case MessageEvent::expired:    // so does "bounced"
      break;
  }
  return {};
}

struct Place {
  std::string_view name;
  Column column;
};
/// Where the fields of events go. All others go to custom-data, by their names.
constexpr Place places[] = {{"client", client_ip},
                            {"helo", client_hostname},
                            {"listener", connector_id},
                            {"route", connector_id},
                            {"message_id", message_id},
                            {"to", recipient_address},
                            {"recipient", recipient_address},
                            {"reply", recipient_status},
                            {"size", total_bytes},
                            {"recipients", recipient_count},
                            {"original", reference},
                            {"origin", reference},
                            {"as", reference},
                            {"subject", message_subject},
                            {"sender", sender_address},
                            {"reason", source_context},
                            {"original_client", original_client_ip}};

/// A name of another hub: under one name for all events.
bool names_hub(std::string_view name) {
  return name == "holder" || name == "owner" || name == "by";
}

std::string_view as_text(const LogField& field, std::array<char, 24>& digits) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) return *text;
  return {
      digits.data(),
      std::to_chars(digits.data(), digits.data() + digits.size(), std::get<std::int64_t>(field.value)).ptr};
}

/// name=value;name=value
void append_pair(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (!out.empty()) out += ';';
  out += name;
  out += '=';
  const auto from = out.size();
  out += value.substr(0, record_value_octets_max);
  for (auto at = out.find(';', from); at != std::string::npos; at = out.find(';', at)) out[at] = ',';
}

class Record {
 public:
  Record(MessageEvent event, std::initializer_list<LogField> fields) : what_(what_of(event)) {
    if (what_.event_id.empty()) return;
    custom_.reserve(128);
    const bool has_hubs_in_from = event == MessageEvent::taken_over || event == MessageEvent::recovered ||
                                  event == MessageEvent::handed_over;
    for (const auto& field : fields) {
      auto& digits = digits_[next_digits_];
      const auto value = as_text(field, digits);
      if (value.data() == digits.data() && next_digits_ + 1 < digits_.size()) ++next_digits_;
      if (field.name == "from") {
        if (has_hubs_in_from)
          hub_ = giver_ = value;
        else
          set_sender(value);
      } else if (field.name == "sender") {
        set_sender(value);
      } else if (names_hub(field.name)) {
        hub_ = value;
      } else if (field.name == "age_ms" || field.name == "attempt") {
        append_pair(info_, field.name, value);
      } else {
        put(event, field.name, value);
      }
    }
    refine(event);
  }

  [[nodiscard]] bool is_empty() const { return what_.event_id.empty(); }
  void write(RecordLog& log, MessageId id, std::string_view host_name, std::string_view record_id) {
    const auto id_text = to_string(id);
    const auto context = trace_context(id, hash_of_hub(host_name));
    std::array<char, 24> number{};
    values_[source] = what_.source;
    values_[event_id] = what_.event_id;
    values_[internal_message_id] = {
        number.data(), std::to_chars(number.data(), number.data() + number.size(), id.number).ptr};
    values_[network_message_id] = id_text;
    values_[server_hostname] = host_name;
    values_[message_info] = info_;
    values_[log_id] = record_id;
    values_[schema_version] = "1";
    values_[trace_id] = context.trace();
    values_[span_id] = context.span();
    const auto own = custom_.size();
    do {  // one for each hub
      const auto end = std::min(hub_.find(' '), hub_.size());
      custom_.resize(own);
      append_pair(custom_, "hub", hub_.substr(0, end));
      hub_.remove_prefix(std::min(end + 1, hub_.size()));
      values_[custom_data] = custom_;
      write(log);
    } while (!hub_.empty());
  }

 private:
  void set_sender(std::string_view address) {
    values_[sender_address] = values_[return_path] = address.empty() ? std::string_view("<>") : address;
  }

  void put(MessageEvent event, std::string_view name, std::string_view value) {
    for (const auto& place : places)
      if (place.name == name) {
        // A bounced message has a reply in place of a reason, a refused one both.
        if (name == "reply" && event == MessageEvent::rejected) return void(values_[source_context] = value);
        values_[place.column] = value;
        return;
      }
    if (name == "host") is_asked_ = !value.empty();
    append_pair(custom_, name == "host" ? "next-hop" : name == "address" ? "next-hop-address" : name, value);
    if (name == "verdict") is_discarded_ = value == "discarded";
  }

  void refine(MessageEvent event) {
    if (event == MessageEvent::bounced && is_asked_) what_.source = "SMTP";
    if (event == MessageEvent::filtered && is_discarded_) what_.event_id = "DROP";
    if ((event == MessageEvent::held || event == MessageEvent::released) && values_[source_context].empty() &&
        values_[reference].empty())
      what_.source = "ADMIN";
    if (event == MessageEvent::notified) set_sender({});
    if (what_.event_id == "AGENTINFO") append_pair(custom_, "event", to_string(event));
    if (event == MessageEvent::handed_over && !giver_.empty()) what_.event_id = "RECEIVE";
    if (event == MessageEvent::handed_over) values_[client_hostname] = giver_;
    if (event == MessageEvent::shadow_stored) values_[client_hostname] = hub_;
  }

  void write(RecordLog& log) const {
    const auto& v = values_;
    log.write(WallClock::now(), {v[0],  v[1],  v[2],  v[3],  v[4],  v[5],  v[6],  v[7],  v[8],  v[9],
                                 v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19],
                                 v[20], v[21], v[22], v[23], v[24], v[25], v[26], v[27]});
  }

  What what_;
  std::array<std::string_view, columns> values_{};
  std::array<std::array<char, 24>, 8> digits_{};
  std::size_t next_digits_ = 0;
  std::string custom_;
  std::string info_;
  std::string_view hub_;    ///< or some, with blanks between them
  std::string_view giver_;  ///< the hub that the message came from
  bool is_asked_ = false;   ///< by a next hop
  bool is_discarded_ = false;
};

}  // namespace

TrackingLog::TrackingLog(EventLog& inner, RecordLogs& logs, std::string host_name)
    : inner_(inner),
      logs_(logs),
      records_(logs.tracking()),
      host_name_(std::move(host_name)),
      run_(fmt::format("{:x}-", WallClock::now().time_since_epoch().count())) {}

bool TrackingLog::keeps_subjects() const {
  return keeps_tracking() && logs_.keeps_subjects();
}

void TrackingLog::message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) {
  inner_.message(event, id, fields);
  if (!records_.is_enabled()) return;
  Record record(event, fields);
  if (record.is_empty()) return;
  std::array<char, 64> text{};
  auto* end = std::ranges::copy(run_, text.data()).out;
  end = std::to_chars(end, text.data() + text.size(), next_.fetch_add(1, std::memory_order_relaxed)).ptr;
  record.write(records_, id, host_name_, {text.data(), end});
}

}  // namespace umbra::hub
