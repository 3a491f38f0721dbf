#include "hub/trace/tracking_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/iso_time.h"
#include "hub/address_match.h"
#include "hub/trace/by_time.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

constexpr std::string_view prefix = "MSGTRK";
constexpr std::string_view suffix = ".log";
constexpr std::size_t block_octets = 256U << 10;
constexpr std::size_t files_max = 20'000;
constexpr std::size_t fields_max = 100;
constexpr std::ptrdiff_t in_file_max = 100'000;  // of the newest records that fit
constexpr std::size_t value_octets_kept = 2'000;
constexpr int day_seconds = 24 * 3600;

struct File {
  std::string name;
  std::string day;  // yyyymmdd
  std::uint64_t number = 0;
};

/// "MSGTRK20261127-0001.log"; the number may be longer.
std::optional<File> parse_name(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  auto middle = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  if (middle.size() < 10 || middle.size() > 18 || middle[8] != '-') return std::nullopt;
  auto number = parse_number(middle.substr(9));
  if (!parse_number(middle.substr(0, 8)) || !number) return std::nullopt;
  return File{std::string(name), std::string(middle.substr(0, 8)), *number};
}

/// Newest first.
std::optional<std::vector<File>> list(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open) return std::nullopt;
  std::vector<File> files;
  while (const dirent* entry = ::readdir(open.get()))
    if (auto file = parse_name(entry->d_name); file && files.size() < files_max)
      files.push_back(std::move(*file));
  std::ranges::sort(files, [](const File& a, const File& b) {
    return std::tie(a.day, a.number) > std::tie(b.day, b.number);
  });
  return files;
}

std::string day_of(WallTime time) {
  auto text = iso_time(time);
  return text.substr(0, 4) + text.substr(5, 2) + text.substr(8, 2);
}

/// RFC 4180: values separated by commas, in quotation marks where they hold one; a record is one line.
bool split_csv(std::string_view line, std::vector<std::string>& values) {
  values.clear();
  for (;;) {
    std::string value;
    if (line.starts_with('"')) {
      line.remove_prefix(1);
      for (;;) {
        auto mark = line.find('"');
        if (mark == std::string_view::npos) return false;
        value += line.substr(0, mark);
        line.remove_prefix(mark + 1);
        if (!line.starts_with('"')) break;
        value += '"';
        line.remove_prefix(1);
      }
      if (!line.empty() && line.front() != ',') return false;
    } else {
      value = line.substr(0, line.find(','));
      line.remove_prefix(value.size());
    }
    values.push_back(std::move(value));
    if (line.empty()) return true;
    if (values.size() == fields_max) return false;
    line.remove_prefix(1);
  }
}

/// Any line of a file, which may have been written by another release, cut by a crash, or by anybody.
class RecordReader {
 public:
  /// Nothing: it is no record.
  std::optional<TrackingRecord> read(std::string_view line) {
    if (line.starts_with('#')) {
      constexpr std::string_view fields = "#Fields:";
      if (line.starts_with(fields)) {
        auto rest = line.substr(fields.size());
        while (rest.starts_with(' ')) rest.remove_prefix(1);
        if (!split_csv(rest, names_)) names_.clear();
      }
      return std::nullopt;
    }
    return line.starts_with('{') ? read_json(line) : read_csv(line);
  }

 private:
  std::optional<TrackingRecord> read_csv(std::string_view line) {
    if (names_.empty() || !split_csv(line, values_)) return std::nullopt;
    TrackingRecord record;
    for (std::size_t i = 0; i < std::min(names_.size(), values_.size()); ++i)
      put(record, names_[i], std::move(values_[i]));
    return finished(std::move(record));
  }
  std::optional<TrackingRecord> read_json(std::string_view line) {
    auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    TrackingRecord record;
    for (const auto& [name, value] : json.items()) {
      if (record.fields.size() == fields_max) return std::nullopt;
      put(record, name,
          value.is_string() ? value.get<std::string>()
          : value.is_null() ? std::string()
                            : value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    }
    return finished(std::move(record));
  }
  static void put(TrackingRecord& record, const std::string& name, std::string value) {
    if (value.empty()) return;
    if (name == "date-time") {
      record.time = parse_iso_time(value).value_or(WallTime{});
    } else if (name == "network-message-id") {
      record.id = parse_message_id(value).value_or(MessageId{});
    } else if (name.size() <= 64) {
      if (value.size() > value_octets_kept) value.resize(value_octets_kept);
      record.fields.emplace_back(name, std::move(value));
    }
  }
  static std::optional<TrackingRecord> finished(TrackingRecord record) {
    if (record.time == WallTime{} || record.id.spool.value == 0) return std::nullopt;
    return record;
  }

  std::vector<std::string> names_;
  std::vector<std::string> values_;
};

std::string_view without_brackets(std::string_view id) {
  if (id.starts_with('<')) id.remove_prefix(1);
  if (id.ends_with('>')) id.remove_suffix(1);
  return id;
}

bool has_recipient(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    auto one = list.substr(0, list.find(';'));
    list.remove_prefix(std::min(one.size() + 1, list.size()));
    if (matches_address(one, wanted)) return true;
  }
  return false;
}

class Search {
 public:
  Search(const std::string& folder, const TraceQuestion& question, const TrackingLimits& limits)
      : folder_(folder),
        question_(question),
        limits_(limits),
        until_(MonotonicClock::now() + limits.time_max),
        ids_(question.ids.begin(), question.ids.end()) {
    for (const auto& id : ids_) texts_.push_back(to_string(id));
  }

  TrackingSearch run() {
    auto files = list(folder_);
    if (!files) {
      if (errno != ENOENT)
        found_.remarks.push_back("the folder of the tracking log cannot be read: " +
                                 std::string(std::strerror(errno)));
      else
        found_.remarks.push_back("there is no tracking log");
      return std::move(found_);
    }
    if (files->empty()) found_.remarks.push_back("there is no tracking log");
    // A record may be in a file of the day before or behind: clocks jump.
    const auto first = question_.since == WallTime{}
                           ? std::string()
                           : day_of(question_.since - std::chrono::seconds(day_seconds));
    const auto last = question_.until == WallTime::max()
                          ? std::string("99999999")
                          : day_of(std::min(question_.until, WallTime::max() - std::chrono::hours(48)) +
                                   std::chrono::seconds(day_seconds));
    for (const auto& file : *files) {
      if (file.day < first || file.day > last) continue;
      if (is_full()) {
        found_.remarks.push_back("the tracking log before " + file.name + " was not looked at: " + why_);
        break;
      }
      look_into(file);
      if (ids_.empty() && newest_.size() >= question_.limit) break;  // older ones are not asked for
    }
    sort_by_time(found_.records, [](const TrackingRecord& record) { return record.time; });
    return std::move(found_);
  }

 private:
  bool is_full() {
    if (!why_.empty()) return true;
    if (found_.octets >= limits_.octets_max)
      why_ = "so much is read for one question at most";
    else if (MonotonicClock::now() >= until_)
      why_ = "it took too long";
    else if (found_.records.size() >= limits_.records_max)
      why_ = "there are more records than are shown";
    return !why_.empty();
  }

  void look_into(const File& file) {
    const int descriptor =
        ::open((folder_ + "/" + file.name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat status{};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
      if (descriptor >= 0) ::close(descriptor);
      // Its age was over meanwhile: as if it had gone before.
      if (descriptor >= 0 || errno != ENOENT) found_.remarks.push_back(file.name + " cannot be read");
      return;
    }
    ++found_.files;
    RecordReader reader;
    in_file_.clear();
    std::string kept;  // the beginning of a line whose end has not been read
    bool is_skipping = false;
    std::string block(block_octets, '\0');
    while (!is_full()) {
      const auto got = ::read(descriptor, block.data(), block.size());
      if (got < 0) found_.remarks.push_back(file.name + " cannot be read to its end");
      if (got <= 0) break;
      found_.octets += static_cast<std::uint64_t>(got);
      std::string_view rest(block.data(), static_cast<std::size_t>(got));
      for (;;) {
        auto end = rest.find('\n');
        auto part = rest.substr(0, end);
        if (!is_skipping && kept.size() + part.size() > limits_.line_octets_max) {
          is_skipping = true;
          kept.clear();
        }
        if (end == std::string_view::npos) {
          if (!is_skipping) kept += part;
          break;
        }
        if (!is_skipping && kept.empty())
          take(reader, part);
        else if (!is_skipping)
          take(reader, kept += part);
        kept.clear();
        is_skipping = false;
        rest.remove_prefix(end + 1);
      }
    }
    ::close(descriptor);
    choose();
  }

  void take(RecordReader& reader, std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    // Most lines are about other messages: that is seen without taking them apart.
    if (!line.starts_with('#') && !ids_.empty() && std::ranges::none_of(texts_, [line](const auto& text) {
          return line.find(text) != std::string_view::npos;
        }))
      return;
    auto record = reader.read(line);
    if (!record || !fits(*record)) return;
    // Which messages it is about is all that is wanted of a record that fits conditions.
    if (ids_.empty()) record->fields.clear();
    if (in_file_.size() >= static_cast<std::size_t>(in_file_max))
      in_file_.erase(in_file_.begin(), in_file_.begin() + in_file_max / 2);
    in_file_.push_back(std::move(*record));
  }

  bool fits(const TrackingRecord& record) const {
    if (!question_.is_of_time(record.time)) return false;
    if (!ids_.empty()) return ids_.contains(record.id);
    if (!question_.sender.empty() && !matches_address(record.field("sender-address"), question_.sender))
      return false;
    if (!question_.recipient.empty() &&
        !has_recipient(record.field("recipient-address"), question_.recipient))
      return false;
    return question_.message_id.empty() ||
           without_brackets(record.field("message-id")) == without_brackets(question_.message_id);
  }

  /// Of this file: all records of the messages that were asked for, or of the newest ones.
  void choose() {
    if (ids_.empty()) {
      for (auto record = in_file_.rbegin(); record != in_file_.rend(); ++record)
        if (newest_.size() < question_.limit) newest_.insert(record->id);
      std::erase_if(in_file_, [this](const auto& record) { return !newest_.contains(record.id); });
    }
    const auto room = limits_.records_max - std::min(limits_.records_max, found_.records.size());
    if (in_file_.size() > room) {
      in_file_.erase(in_file_.begin(), in_file_.end() - static_cast<std::ptrdiff_t>(room));
      found_.remarks.push_back("there are more records than are shown: the newest");
    }
    std::ranges::move(in_file_, std::back_inserter(found_.records));
    in_file_.clear();
  }

  const std::string& folder_;
  const TraceQuestion& question_;
  const TrackingLimits& limits_;
  const MonotonicTime until_;
  std::set<MessageId> ids_;
  std::vector<std::string> texts_;
  std::set<MessageId> newest_;
  std::vector<TrackingRecord> in_file_;
  std::string why_;
  TrackingSearch found_;
};

}  // namespace

std::string_view TrackingRecord::field(std::string_view name) const {
  auto found = std::ranges::find(fields, name, &std::pair<std::string, std::string>::first);
  return found == fields.end() ? std::string_view{} : std::string_view(found->second);
}

TrackingSearch search_tracking(const std::string& folder, const TraceQuestion& question,
                               const TrackingLimits& limits) {
  return Search(folder, question, limits).run();
}

}  // namespace umbra::hub
