// load_config and parse_config: text -> YAML -> structs (yaml_reader, describe) -> cross checks (validate).
#include "hub/config/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "hub/config/validate.h"
#include "hub/config/visitor.h"
#include "hub/config/yaml_reader.h"
#include "hub/net/tls_store.h"

namespace umbra::hub {
namespace {

constexpr std::size_t file_octets_max = 1U << 20;
constexpr std::size_t secret_octets_max = 4096;

struct FileText {
  std::string text;
  unsigned mode = 0;
};

/// Reads a regular file whole; the error is a phrase.
std::expected<FileText, std::string> read_file(const std::string& path, std::size_t octets_max) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return std::unexpected("cannot be opened: " + std::string(std::strerror(errno)));
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};

  struct stat status{};
  if (::fstat(descriptor, &status) != 0)
    return std::unexpected("cannot be read: " + std::string(std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) return std::unexpected("is a directory");
  FileText file{{}, status.st_mode};
  std::array<char, 4096> piece{};
  while (true) {
    auto got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected("cannot be read: " + std::string(std::strerror(errno)));
    if (got == 0) return file;
    file.text.append(piece.data(), static_cast<std::size_t>(got));
    if (file.text.size() > octets_max)
      return std::unexpected("is larger than " + std::to_string(octets_max) + " octets");
  }
}

std::string from_folder_of(const std::string& file, const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

template <class Use>
void for_each_tls_path(Config& config, Use use) {
  auto both = [&](TlsFiles& files) {
    use(files.certificate);
    use(files.key);
  };
  for (auto& listener : config.listeners) {
    both(listener.tls.files);
    for (auto& files : listener.tls.more_certificates) both(files);
    use(listener.tls.client_ca);
  }
  for (auto& route : config.routes) {
    both(route.tls.files);
    use(route.tls.ca);
  }
  both(config.cluster.tls.files);
  use(config.cluster.tls.ca);
}

void read_secret(Config& config, ReadReport& report) {
  if (const char* given = std::getenv("UMBRA_CLUSTER_SECRET"); given != nullptr && *given != '\0') {
    config.cluster.secret = given;
    return;
  }
  if (config.cluster.secret_file.empty()) return;
  auto path = from_folder_of(config.file, config.cluster.secret_file);
  auto file = read_file(path, secret_octets_max);
  if (!file) {
    report.problem_at("cluster.secret_file", "cluster.secret_file: " + path + " " + file.error());
    return;
  }
  if ((file->mode & 0007U) != 0) {
    report.problem_at(
        "cluster.secret_file",
        "cluster.secret_file: " + path + " may be read by everybody on this machine; chmod 640 or 600");
  }
  auto& text = file->text;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  config.cluster.secret = text;
  if (text.empty()) report.problem_at("cluster.secret_file", "cluster.secret_file: " + path + " is empty");
}

}  // namespace

std::string to_string(const ConfigProblem& problem) {
  if (problem.line == 0) return problem.file + ": " + problem.what;
  return problem.file + ":" + std::to_string(problem.line) + ": " + problem.what;
}

std::expected<Config, std::vector<ConfigProblem>> parse_config(const std::string& text,
                                                               const std::string& file) {
  auto config = documented_defaults();
  config.file = file;
  ReadReport report{file, {}, {}};
  try {
    auto documents = YAML::LoadAll(text);
    if (documents.size() != 1 || !documents[0].IsDefined() || documents[0].IsNull()) {
      report.problem(0, documents.size() > 1 ? "more than one YAML document" : "the file says nothing");
      return std::unexpected(std::move(report.problems));
    }
    YamlReader reader(documents[0], "", report);
    describe_config(reader, config);
    reader.finish();
  } catch (const YAML::Exception& error) {
    report.problem(error.mark.is_null() ? 0 : error.mark.line + 1, "not YAML: " + error.msg);
    return std::unexpected(std::move(report.problems));
  }
  for (auto* path : {&config.spool.directory, &config.admin.socket, &config.log.file})
    *path = from_folder_of(file, *path);
  for_each_tls_path(config, [&](std::string& path) { path = from_folder_of(file, path); });
  read_secret(config, report);
  validate(config, report);
  if (report.problems.empty()) {
    for (const auto& [path, what] : tls_problems(config)) report.problem_at(path, path + ": " + what);
  }
  if (report.problems.empty()) return config;
  std::ranges::sort(report.problems, [](const ConfigProblem& a, const ConfigProblem& b) {
    return std::tie(a.line, a.what) < std::tie(b.line, b.what);
  });
  return std::unexpected(std::move(report.problems));
}

std::expected<Config, std::vector<ConfigProblem>> load_config(const std::string& file) {
  auto text = read_file(file, file_octets_max);
  if (!text) return std::unexpected(std::vector{ConfigProblem{file, 0, text.error()}});
  return parse_config(text->text, file);
}

}  // namespace umbra::hub
