#include "hub/logs/record_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/ids.h"

namespace umbra::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".log";
constexpr std::size_t day_octets = 8;
constexpr Duration look_after = 1s;
constexpr std::size_t first_lines_octets_max = 4096;

std::unexpected<Error> system_failure(int error, const std::string& what) {
  return failure(std::error_code(error, std::generic_category()), what);
}

/// Without the line that is another one each time.
std::string without_date(std::string_view lines) {
  std::string rest;
  while (lines.starts_with('#')) {
    const auto end = std::min(lines.find('\n'), lines.size() - 1) + 1;
    if (!lines.starts_with("#Date:")) rest += lines.substr(0, end);
    lines.remove_prefix(end);
  }
  return rest;
}

/// A file is no larger than this: in a small folder there is room for one before it.
std::uint64_t file_octets_max(const RecordLogConfig& limits) {
  return std::min(limits.file_octets_max, limits.folder_octets_max / 2);
}

}  // namespace

RecordFiles::RecordFiles(std::string folder, const RecordKind& kind, RecordLogsConfig::Format format)
    : folder_(std::move(folder)), kind_(kind), format_(format), writer_(kind, format) {}

std::optional<RecordFiles::File> RecordFiles::parse(const std::string& name) const {
  std::string_view rest = name;
  if (!rest.starts_with(kind_.prefix) || !rest.ends_with(suffix)) return std::nullopt;
  rest.remove_prefix(kind_.prefix.size());
  rest.remove_suffix(suffix.size());
  if (rest.size() < day_octets + 5 || rest[day_octets] != '-') return std::nullopt;
  const auto day = rest.substr(0, day_octets);
  const auto number = parse_number(rest.substr(day_octets + 1));
  if (!parse_number(day) || !number) return std::nullopt;
  return File{std::string(day), *number, name};
}

std::vector<RecordFiles::File> RecordFiles::list() const {
  std::vector<File> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error))
    if (auto file = parse(entry->path().filename().string())) files.push_back(std::move(*file));
  std::ranges::sort(files, [](const File& a, const File& b) {
    return std::tie(a.day, a.number) < std::tie(b.day, b.number);
  });
  return files;
}

std::size_t RecordFiles::of_one_day(std::string_view records, const std::string& day) const {
  const auto last = records.size() < 2 ? std::string_view::npos : records.rfind('\n', records.size() - 2);
  if (last == std::string_view::npos || day_of_record(records.substr(last + 1), format_) == day)
    return records.size();
  std::size_t octets = 0;
  while (octets < records.size() && day_of_record(records.substr(octets), format_) == day)
    octets = std::min(records.find('\n', octets), records.size() - 1) + 1;
  return octets;
}

Result<void> RecordFiles::write(std::string_view& records, const RecordLogConfig& limits) {
  const auto octets_max = file_octets_max(limits);
  while (!records.empty()) {
    const auto day = day_of_record(records, format_);
    const auto first_octets = std::min(records.find('\n'), records.size() - 1) + 1;
    if (auto ready = make_ready(day, first_octets, octets_max); !ready) return ready;
    auto part = of_one_day(records, day);
    const auto room = file_.octets() < octets_max ? octets_max - file_.octets() : 0;
    if (part > room) {
      const auto end =
          room == 0 ? std::string_view::npos : records.rfind('\n', static_cast<std::size_t>(room) - 1);
      // One that is too long for any file is in a file of its own.
      part = end == std::string_view::npos ? first_octets : end + 1;
    }
    auto rest = records.substr(0, part);
    auto written = file_.append(rest);
    records.remove_prefix(part - rest.size());
    if (!written) {
      file_.close();  // opened anew when it is tried again
      return written;
    }
  }
  return {};
}

void RecordFiles::leave_if_moved() {
  const auto now = MonotonicClock::now();
  if (!file_.is_open() || now < looked_at_ + look_after) return;
  looked_at_ = now;
  if (!file_.is_at(path_of(name_))) file_.close();
}

Result<void> RecordFiles::make_ready(const std::string& day, std::size_t next_octets,
                                     std::uint64_t octets_max) {
  leave_if_moved();
  if (!file_.is_open() || day != day_) {
    file_.close();
    if (auto made = make_folder(); !made) return made;
    if (auto opened = go_on_with_last(day); !opened) return opened;
  }
  if (file_.octets() > first_octets_ && file_.octets() + next_octets > octets_max)
    return begin(day_, number_ + 1);
  return {};
}

Result<void> RecordFiles::make_folder() const {
  std::error_code error;
  if (fs::is_directory(folder_, error)) return {};
  fs::create_directories(fs::path(folder_).parent_path(), error);
  if (::mkdir(folder_.c_str(), 0750) != 0 && errno != EEXIST)
    return system_failure(errno, "make folder " + folder_);
  return {};
}

Result<void> RecordFiles::go_on_with_last(const std::string& day) {
  std::uint64_t last = 0;
  std::string name;
  for (const auto& file : list())
    if (file.day == day) {
      last = file.number;
      name = file.name;
    }
  if (last == 0 || !can_go_on_with(path_of(name))) return begin(day, last + 1);
  auto opened = AppendFile::open(path_of(name));
  if (!opened) return std::unexpected(opened.error());
  file_ = std::move(*opened);
  name_ = name;
  day_ = day;
  number_ = last;
  first_octets_ = writer_.first_lines(WallClock::now()).size();
  return {};
}

bool RecordFiles::can_go_on_with(const std::string& path) const {
  std::ifstream in(path, std::ios::binary);
  std::string front(first_lines_octets_max, '\0');
  in.read(front.data(), static_cast<std::streamsize>(front.size()));
  front.resize(static_cast<std::size_t>(in.gcount()));
  if (front.empty() || (front.front() == '{') != (format_ == RecordLogsConfig::Format::json)) return false;
  if (without_date(front) != without_date(writer_.first_lines(WallClock::now()))) return false;
  in.clear();
  in.seekg(-1, std::ios::end);
  return in.get() == '\n';
}

Result<void> RecordFiles::begin(const std::string& day, std::uint64_t number) {
  file_.close();
  for (;; ++number) {
    auto name = fmt::format("{}{}-{:04}{}", kind_.prefix, day, number, suffix);
    auto opened = AppendFile::open(path_of(name), true);
    if (!opened && opened.error().code == std::errc::file_exists) continue;
    if (!opened) return std::unexpected(opened.error());
    const auto first_lines = writer_.first_lines(WallClock::now());
    std::string_view rest = first_lines;
    if (auto written = opened->append(rest); !written) {
      ::unlink(path_of(name).c_str());
      return written;
    }
    file_ = std::move(*opened);
    name_ = std::move(name);
    day_ = day;
    number_ = number;
    first_octets_ = first_lines.size();
    looked_at_ = MonotonicClock::now();
    is_untidy_ = true;
    return {};
  }
}

std::vector<RecordFiles::Removed> RecordFiles::tidy(WallTime now, const RecordLogConfig& limits) {
  is_untidy_ = false;
  struct Found {
    std::string name;
    std::uint64_t octets = 0;
    WallTime changed_at;
  };
  std::vector<Found> found;
  std::uint64_t octets = file_octets_max(limits);  // that the present one may have
  for (auto& file : list()) {
    struct stat status{};
    if (file.name == name_ || ::stat(path_of(file.name).c_str(), &status) != 0) continue;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    octets += size;
    found.push_back({std::move(file.name), size, WallTime(std::chrono::seconds(status.st_mtim.tv_sec))});
  }
  std::vector<Removed> removed;
  for (const auto& file : found) {
    const auto age = std::chrono::duration_cast<Duration>(now - file.changed_at);
    const bool is_old = limits.age_max != Duration{} && age > limits.age_max;
    const bool is_too_much = octets > limits.folder_octets_max;
    if (!is_old && !is_too_much) continue;
    Removed one{file.name, is_too_much && !is_old, !is_old && limits.age_max != Duration{}, age, {}};
    if (::unlink(path_of(file.name).c_str()) == 0 || errno == ENOENT)
      octets -= file.octets;
    else
      one.problem = std::error_code(errno, std::generic_category()).message();
    removed.push_back(std::move(one));
  }
  return removed;
}

}  // namespace umbra::hub
