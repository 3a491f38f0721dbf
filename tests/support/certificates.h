// Certificates for tests: an authority of one's own that issues for any names and any time, and a folder of
// PEM files that is gone with the object.
#pragma once

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "hub/config/config.h"
#include "hub/net/certificate_files.h"

namespace umbra::testing {

struct Pem {
  std::string certificate;
  std::string key;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name) : key_(EVP_EC_gen("P-256")) {
    certificate_.reset(make(name, name, *key_, "", WallClock::now() - std::chrono::days(30),
                            WallClock::now() + std::chrono::days(3650)));
  }
  /// `names` as OpenSSL writes them: "DNS:a.example,URI:umbra://hub/a".
  [[nodiscard]] Pem issue(const std::string& names, WallTime from, WallTime until) const {
    hub::KeyPtr key(EVP_EC_gen("P-256"));
    hub::CertificatePtr certificate(make("leaf", "", *key, names, from, until));
    return {text([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }), text([&](BIO* bio) {
              return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            })};
  }
  [[nodiscard]] Pem issue(const std::string& names) const {
    return issue(names, WallClock::now() - std::chrono::hours(1), WallClock::now() + std::chrono::days(90));
  }
  [[nodiscard]] std::string pem() const {
    return text([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
  }

 private:
  template <class Write>
  static std::string text(Write write) {
    std::unique_ptr<BIO, hub::OpensslDeleter<BIO_free>> bio(BIO_new(BIO_s_mem()));
    UMBRA_ASSERT(write(bio.get()) == 1);
    char* data = nullptr;
    auto octets = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(octets)};
  }
  X509* make(const std::string& subject, const std::string& issuer, EVP_PKEY& key, const std::string& names,
             WallTime from, WallTime until) const {
    static long serial = 1;
    auto* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    ASN1_TIME_set(X509_getm_notBefore(x), hub::unix_seconds(from));
    ASN1_TIME_set(X509_getm_notAfter(x), hub::unix_seconds(until));
    add_name(*X509_get_subject_name(x), subject);
    if (issuer.empty())
      X509_set_issuer_name(x, X509_get_subject_name(certificate_.get()));
    else
      add_name(*X509_get_issuer_name(x), issuer);
    X509_set_pubkey(x, &key);
    extend(*x, NID_basic_constraints, issuer.empty() ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (!names.empty()) extend(*x, NID_subject_alt_name, names);
    UMBRA_ASSERT(X509_sign(x, key_.get(), EVP_sha256()) != 0);
    return x;
  }
  static void add_name(X509_NAME& name, const std::string& text) {
    X509_NAME_add_entry_by_txt(&name, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
  }
  static void extend(X509& x, int what, const std::string& value) {
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    UMBRA_ASSERT(extension != nullptr);
    X509_add_ext(&x, extension, -1);
    X509_EXTENSION_free(extension);
  }

  hub::KeyPtr key_;
  hub::CertificatePtr certificate_;
};

class PemFolder {
 public:
  PemFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "umbra-pem-XXXXXX").string();
    UMBRA_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  PemFolder(const PemFolder&) = delete;
  PemFolder& operator=(const PemFolder&) = delete;
  ~PemFolder() { std::filesystem::remove_all(path_); }

  std::string put(const std::string& name, const std::string& text, unsigned mode = 0600) const {
    auto file = path_ + "/" + name;
    std::ofstream(file, std::ios::trunc) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  /// Both in one file, as TlsFiles take them.
  hub::TlsFiles put(const std::string& name, const Pem& pem) const {
    return {put(name, pem.certificate + pem.key), ""};
  }

 private:
  std::string path_;
};

}  // namespace umbra::testing
