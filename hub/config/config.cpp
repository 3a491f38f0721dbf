// load_config and parse_config: text -> YAML -> structs (yaml_reader, describe) -> cross checks (validate).
#include "hub/config/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "hub/admin/tokens.h"
#include "hub/authentication/password_file.h"
#include "hub/config/validate.h"
#include "hub/config/visitor.h"
#include "hub/config/yaml_reader.h"
#include "hub/net/tls_store.h"

namespace umbra::hub {
namespace {

constexpr std::size_t file_octets_max = 1U << 20;
constexpr std::size_t secret_octets_max = 4096;
constexpr std::size_t passwords_octets_max = 4U << 20;
constexpr std::size_t tokens_octets_max = 64U << 10;

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
  both(config.admin.tls.files);
  use(config.admin.tls.client_ca);
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

/// The content of a file that holds secrets, the last line's end included. Empty, with a problem at `key`,
/// where it cannot be used.
std::string read_secrets(const Config& config, const std::string& key, const std::string& given,
                         std::size_t octets_max, ReadReport& report) {
  auto path = from_folder_of(config.file, given);
  auto refuse = [&](const std::string& why) {
    report.problem_at(key, key + ": " + path + why);
    return std::string();
  };
  auto file = read_file(path, octets_max);
  if (!file) return refuse(" " + file.error());
  if ((file->mode & 0007U) != 0) return refuse(" may be read by everybody on this machine; chmod 640 or 600");
  if (file->text.empty()) return refuse(" is empty");
  return std::move(file->text);
}

void read_passwords(Config& config, ReadReport& report) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    auto& authentication = config.listeners[i].authentication;
    if (authentication.password_file.empty()) continue;
    auto key = "listeners[" + std::to_string(i) + "].authentication.password_file";
    authentication.passwords =
        read_secrets(config, key, authentication.password_file, passwords_octets_max, report);
    if (authentication.passwords.empty()) continue;
    if (auto users = PasswordFile::parse(authentication.passwords); !users) {
      const auto& [line, what] = users.error();
      report.problem_at(key, key + ": " + from_folder_of(config.file, authentication.password_file) +
                                 (line == 0 ? ": " : ":" + std::to_string(line) + ": ") + what);
    }
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    auto& authentication = config.routes[i].authentication;
    if (authentication.password_file.empty()) continue;
    auto key = "routes[" + std::to_string(i) + "].authentication.password_file";
    auto& password = authentication.password;
    password = read_secrets(config, key, authentication.password_file, secret_octets_max, report);
    if (password.empty()) continue;
    if (password.ends_with('\n')) password.pop_back();
    if (password.empty() || std::ranges::any_of(password, [](unsigned char c) { return c < 32 || c == 127; }))
      report.problem_at(key, key + ": " + from_folder_of(config.file, authentication.password_file) +
                                 ": expected one line, without control characters");
  }
}

void read_tokens(Config& config, ReadReport& report) {
  auto& admin = config.admin;
  if (admin.tokens_file.empty()) return;
  const std::string key = "admin.tokens_file";
  admin.tokens = read_secrets(config, key, admin.tokens_file, tokens_octets_max, report);
  if (admin.tokens.empty()) return;
  if (auto tokens = parse_admin_tokens(admin.tokens); !tokens) {
    const auto& [line, what] = tokens.error();
    report.problem_at(key, key + ": " + from_folder_of(config.file, admin.tokens_file) +
                               (line == 0 ? ": " : ":" + std::to_string(line) + ": ") + what);
  }
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
    // The same file for every hub of a StatefulSet: each has its pod's name.
    if (const char* name = std::getenv("UMBRA_HUB_NAME");
        name != nullptr && *name != '\0' && documents[0].IsMap()) {
      auto hub = documents[0]["hub"];
      if (!hub || hub.IsNull() || hub.IsMap()) documents[0]["hub"]["name"] = name;
    }
    if (const char* zone = std::getenv("UMBRA_HUB_ZONE");
        zone != nullptr && *zone != '\0' && documents[0].IsMap()) {
      if (auto cluster = documents[0]["cluster"]; cluster && cluster.IsMap() && cluster["discovery"])
        cluster["zone"] = zone;
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
  for (auto& listener : config.listeners)
    listener.authentication.dovecot = from_folder_of(file, listener.authentication.dovecot);
  for_each_tls_path(config, [&](std::string& path) { path = from_folder_of(file, path); });
  read_secret(config, report);
  read_passwords(config, report);
  read_tokens(config, report);
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

std::string version_of(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return {};
  std::string version;
  for (std::size_t i = 0; i < 6; ++i) version += fmt::format("{:02x}", digest.at(i));
  return version;
}

std::expected<Config, std::vector<ConfigProblem>> load_config(const std::string& file) {
  auto text = read_file(file, file_octets_max);
  if (!text) return std::unexpected(std::vector{ConfigProblem{file, 0, text.error()}});
  auto config = parse_config(text->text, file);
  if (config) config->version = version_of(text->text);
  return config;
}

}  // namespace umbra::hub
