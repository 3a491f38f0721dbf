#include "hub/net/certificate_files.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace umbra::hub {
namespace {

constexpr std::size_t file_octets_max = 1U << 20;

using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free>>;

struct FileText {
  std::string text;
  unsigned mode = 0;
};

Result<FileText> read_text(const std::string& path) {
  auto failed = [&] { return failure(std::error_code(errno, std::generic_category()), path); };
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return failed();
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return failed();
  FileText file{{}, status.st_mode};
  std::array<char, 4096> piece{};
  while (true) {
    auto got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed();
    if (got == 0) return file;
    file.text.append(piece.data(), static_cast<std::size_t>(got));
    if (file.text.size() > file_octets_max) return failure(std::errc::file_too_large, path);
  }
}

BioPtr over(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::unexpected<Error> unusable(const std::string& path, const std::string& why) {
  return failure(std::errc::invalid_argument, path + ": " + why);
}

Result<std::vector<CertificatePtr>> certificates_in(const std::string& text, const std::string& path) {
  std::vector<CertificatePtr> found;
  auto bio = over(text);
  ERR_clear_error();
  while (auto* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    found.emplace_back(certificate);
  // The end of the file is the error that is expected here.
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return unusable(path, "a certificate in it cannot be read: " + openssl_problem());
  ERR_clear_error();
  if (found.empty()) return unusable(path, "there is no certificate in it (PEM is expected)");
  return found;
}

/// Instead of asking on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

WallTime to_wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime::min();
  return WallTime{std::chrono::seconds{::timegm(&parts)}};
}

}  // namespace

Result<TlsIdentity> read_identity(const std::string& certificate_file, const std::string& key_file) {
  auto file = read_text(certificate_file);
  if (!file) return std::unexpected(file.error());
  auto certificates = certificates_in(file->text, certificate_file);
  if (!certificates) return std::unexpected(certificates.error());
  TlsIdentity identity;
  identity.certificate = std::move(certificates->front());
  for (std::size_t i = 1; i < certificates->size(); ++i)
    identity.chain.push_back(std::move((*certificates)[i]));

  const auto& key_path = key_file.empty() ? certificate_file : key_file;
  if (!key_file.empty()) {
    file = read_text(key_file);
    if (!file) return std::unexpected(file.error());
  }
  if ((file->mode & 0007U) != 0)
    return unusable(key_path, "the key may be read by everybody on this machine; chmod 640 or 600");
  identity.key.reset(PEM_read_bio_PrivateKey(over(file->text).get(), nullptr, no_passphrase, nullptr));
  OPENSSL_cleanse(file->text.data(), file->text.size());
  if (!identity.key)
    return unusable(key_path, "there is no private key in it that can be read without a passphrase: " +
                                  openssl_problem());
  if (X509_check_private_key(identity.certificate.get(), identity.key.get()) != 1) {
    ERR_clear_error();
    return unusable(certificate_file,
                    "its first certificate and the key in " + key_path + " do not belong together");
  }
  bool leads_on = identity.chain.empty() || std::ranges::any_of(identity.chain, [&](const auto& issuer) {
                    return X509_check_issued(issuer.get(), identity.certificate.get()) == X509_V_OK;
                  });
  if (!leads_on)
    return unusable(certificate_file, "none of its further certificates is the issuer of the first one");
  return identity;
}

Result<std::vector<CertificatePtr>> read_authorities(const std::string& file) {
  auto text = read_text(file);
  if (!text) return std::unexpected(text.error());
  return certificates_in(text->text, file);
}

CertificateNames names_of(const X509& certificate) {
  CertificateNames names;
  using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;
  NamesPtr all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const auto* one = sk_GENERAL_NAME_value(all.get(), i);
    if (one->type != GEN_DNS && one->type != GEN_URI) continue;
    // Both are an IA5String. A zero inside would be a name that reads differently elsewhere.
    const auto* text = one->type == GEN_DNS ? one->d.dNSName : one->d.uniformResourceIdentifier;
    std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
    if (name.empty() || name.contains('\0')) continue;
    (one->type == GEN_DNS ? names.dns : names.uris).push_back(std::move(name));
  }
  return names;
}

WallTime valid_from(const X509& certificate) {
  return to_wall_time(X509_get0_notBefore(&certificate));
}
WallTime valid_until(const X509& certificate) {
  return to_wall_time(X509_get0_notAfter(&certificate));
}

CertificateFacts facts_of(const X509& certificate) {
  CertificateFacts facts;
  auto name = [](const X509_NAME* from) {
    BioPtr bio(BIO_new(BIO_s_mem()));
    if (!bio || X509_NAME_print_ex(bio.get(), from, 0, XN_FLAG_RFC2253) < 0) return std::string();
    char* text = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &text);
    return std::string(text, static_cast<std::size_t>(size));
  };
  auto hexadecimal = [](const unsigned char* octets, std::size_t size) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < size; ++i) {
      text += digits[octets[i] >> 4U];
      text += digits[octets[i] & 15U];
    }
    return text;
  };
  facts.subject = name(X509_get_subject_name(&certificate));
  facts.issuer = name(X509_get_issuer_name(&certificate));
  const auto* serial = X509_get0_serialNumber(&certificate);
  facts.serial =
      hexadecimal(ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial)));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), &size) == 1)
    facts.fingerprint = hexadecimal(digest.data(), size);
  auto names = names_of(certificate);
  facts.names = std::move(names.dns);
  facts.names.insert(facts.names.end(), names.uris.begin(), names.uris.end());
  facts.valid_from = valid_from(certificate);
  facts.valid_until = valid_until(certificate);
  return facts;
}

WallTime valid_until(const TlsIdentity& identity) {
  auto earliest = valid_until(*identity.certificate);
  for (const auto& certificate : identity.chain) earliest = std::min(earliest, valid_until(*certificate));
  return earliest;
}

std::int64_t unix_seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string hub_uri(std::string_view hub) {
  return "umbra://hub/" + std::string(hub);
}

bool names_hub(const CertificateNames& names, std::string_view hub) {
  return std::ranges::find(names.dns, hub) != names.dns.end() ||
         std::ranges::find(names.uris, hub_uri(hub)) != names.uris.end();
}

std::string openssl_problem() {
  std::string text;
  while (auto code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    std::string one = reason != nullptr ? reason : "error " + std::to_string(code);
    if (text.contains(one)) continue;
    text += (text.empty() ? "" : "; ") + one;
  }
  return text.empty() ? "no reason given" : text;
}

}  // namespace umbra::hub
