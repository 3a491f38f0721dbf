// Certificate files: what is refused and in which words; a reload keeps what it cannot replace.
#include "hub/net/tls_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hub/logs/memory_log.h"
#include "tests/support/certificates.h"

namespace umbra::hub {
namespace {

using testing::PemFolder;
using testing::TestAuthority;

class TlsStoreTest : public ::testing::Test {
 protected:
  TlsStoreTest() {
    config.hub_name = "hub-a";
    ListenerConfig listener;
    listener.name = "in";
    listener.tls.mode = ListenerTlsConfig::Mode::starttls;
    listener.tls.files = {folder.put("cert.pem", good.certificate), folder.put("key.pem", good.key)};
    config.listeners.push_back(listener);
  }
  [[nodiscard]] std::string problem() const {
    auto problems = tls_problems(config);
    return problems.empty() ? "" : problems.front().first + ": " + problems.front().second;
  }

  PemFolder folder;
  TestAuthority authority{"the authority"};
  TestAuthority other{"another authority"};
  testing::Pem good = authority.issue("DNS:mx.example");
  Config config;
  MemoryLog log{"hub-a"};
  Metrics metrics;
};

TEST_F(TlsStoreTest, SaysWhatIsWrongWithFiles) {
  EXPECT_EQ(problem(), "");
  auto& files = config.listeners[0].tls.files;
  auto another = authority.issue("DNS:mx.example");

  folder.put("key.pem", another.key);
  EXPECT_TRUE(problem().contains("do not belong together")) << problem();
  EXPECT_TRUE(problem().starts_with("listeners[0].tls: ")) << problem();
  folder.put("key.pem", good.key, 0604);
  EXPECT_TRUE(problem().contains("may be read by everybody")) << problem();
  folder.put("key.pem", "no key");
  EXPECT_TRUE(problem().contains("no private key")) << problem();
  folder.put("key.pem", good.certificate);
  EXPECT_TRUE(problem().contains("no private key")) << problem();
  files.key = "/nowhere/key.pem";
  EXPECT_TRUE(problem().contains("/nowhere/key.pem: No such file")) << problem();

  files.key = folder.put("key.pem", good.key);
  EXPECT_EQ(problem(), "");
  folder.put("cert.pem", "");
  EXPECT_TRUE(problem().contains("no certificate")) << problem();
  folder.put("cert.pem", good.certificate.substr(0, good.certificate.size() / 2));
  EXPECT_FALSE(problem().empty());
  folder.put("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_TRUE(problem().contains("cannot be read")) << problem();
  folder.put("cert.pem", std::string(2 << 20, 'x'));
  EXPECT_FALSE(problem().empty());
  folder.put("cert.pem", good.certificate + other.pem());
  EXPECT_TRUE(problem().contains("issuer")) << problem();
  folder.put("cert.pem", good.certificate + authority.pem());
  EXPECT_EQ(problem(), "");

  config.listeners[0].tls.client_certificates = ListenerTlsConfig::ClientCertificates::require;
  config.listeners[0].tls.client_ca = folder.put("ca.pem", "nothing");
  EXPECT_TRUE(problem().contains("no certificate")) << problem();
}

TEST_F(TlsStoreTest, AKeyBehindAPassphraseIsRefusedAndNobodyIsAsked) {
  std::unique_ptr<BIO, OpensslDeleter<BIO_free>> in(
      BIO_new_mem_buf(good.key.data(), static_cast<int>(good.key.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  std::unique_ptr<BIO, OpensslDeleter<BIO_free>> out(BIO_new(BIO_s_mem()));
  char phrase[] = "secret";
  ASSERT_EQ(PEM_write_bio_PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), nullptr, 0, nullptr, phrase),
            1);
  char* data = nullptr;
  auto octets = BIO_get_mem_data(out.get(), &data);
  folder.put("key.pem", std::string(data, static_cast<std::size_t>(octets)));
  EXPECT_TRUE(problem().contains("without a passphrase")) << problem();
}

TEST_F(TlsStoreTest, AReloadTakesWhatIsGoodAndKeepsWhatItCannotReplace) {
  TlsStore store(config);
  ASSERT_TRUE(store.load(log));
  auto first = store.listener("in")->context();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->names().dns, std::vector<std::string>{"mx.example"});

  auto next = authority.issue("DNS:new.example");
  folder.put("cert.pem", next.certificate);
  auto reports = store.reload(log, metrics);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].place, "listeners.in");
  EXPECT_TRUE(reports[0].problem.contains("do not belong together")) << reports[0].problem;
  EXPECT_EQ(reports[0].names, std::vector<std::string>{"mx.example"}) << "the former one is in use";
  EXPECT_EQ(store.listener("in")->context(), first);
  EXPECT_EQ(metrics.tls_reload_failures_total, 1U);
  EXPECT_TRUE(log.lines().back().contains("\"error\"")) << log.lines().back();
  EXPECT_FALSE(store.report()[0].problem.empty()) << "it stays wrong until a reload succeeds";

  folder.put("key.pem", next.key);
  reports = store.reload(log, metrics);
  EXPECT_EQ(reports[0].problem, "");
  EXPECT_EQ(reports[0].names, std::vector<std::string>{"new.example"});
  EXPECT_NE(store.listener("in")->context(), first);
  EXPECT_EQ(first->names().dns, std::vector<std::string>{"mx.example"}) << "who has it keeps it";

  auto now = WallClock::now();
  auto old = authority.issue("DNS:new.example", now - std::chrono::hours(9), now - std::chrono::hours(1));
  folder.put("cert.pem", old.certificate);
  folder.put("key.pem", old.key);
  reports = store.reload(log, metrics);
  EXPECT_TRUE(reports[0].problem.contains("expired")) << reports[0].problem;
  EXPECT_GT(reports[0].valid_until, now);
  EXPECT_EQ(metrics.tls_reload_failures_total, 2U);
}

TEST_F(TlsStoreTest, AnotherConfigurationReplacesOnlyWhatDiffersAndNothingWhenItCannotBeUsed) {
  TlsStore store(config);
  ASSERT_TRUE(store.load(log));
  auto place = store.listener("in");
  auto other = config;
  other.listeners.push_back(other.listeners.front());
  other.listeners.back().name = "second";
  other.listeners.back().tls.files = folder.put("second.pem", authority.issue("DNS:second.example"));
  auto places = store.places_for(other);
  ASSERT_TRUE(places) << places.error().what;
  EXPECT_EQ(store.listener("second"), nullptr) << "not yet";
  store.replace(std::move(*places));
  EXPECT_EQ(store.listener("in"), place) << "the same one";
  ASSERT_NE(store.listener("second"), nullptr);
  EXPECT_EQ(store.listener("second")->context()->names().dns, std::vector<std::string>{"second.example"});
  folder.put("second.pem", "nothing");
  other.listeners.front().tls.minimum_version = TlsVersion::v1_3;
  other.listeners.back().tls.minimum_version = TlsVersion::v1_3;
  auto refused = store.places_for(other);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().what.starts_with("listeners.second: ")) << refused.error().what;
  EXPECT_EQ(store.listener("in"), place);
  store.replace(*store.places_for({}));
  EXPECT_EQ(store.listener("in"), nullptr);
  EXPECT_NE(place->context(), nullptr) << "who has it keeps it";
}

TEST_F(TlsStoreTest, AtStartAnExpiredCertificateIsUsedAndNamed) {
  auto now = WallClock::now();
  auto old = authority.issue("DNS:mx.example", now - std::chrono::hours(9), now - std::chrono::hours(1));
  folder.put("cert.pem", old.certificate);
  folder.put("key.pem", old.key);
  TlsStore store(config);
  EXPECT_TRUE(store.load(log));
  EXPECT_NE(store.listener("in")->context(), nullptr);
  EXPECT_TRUE(store.report()[0].problem.contains("expired"));
  folder.put("key.pem", good.key);
  TlsStore wrong(config);
  auto loaded = wrong.load(log);
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(loaded.error().what.starts_with("listeners.in: ")) << loaded.error().what;
}

TEST_F(TlsStoreTest, AHubsCertificateNamesTheHubAndLeadsToTheClustersAuthority) {
  config.listeners.clear();
  config.cluster.tls.ca = folder.put("ca.pem", authority.pem());
  for (const auto& [names, is_good] :
       {std::pair{"DNS:hub-a", true}, std::pair{"URI:umbra://hub/hub-a,DNS:x.example", true},
        std::pair{"DNS:hub-b", false}, std::pair{"DNS:*.hub-a", false}, std::pair{"DNS:HUB-A", false},
        std::pair{"URI:umbra://hub/hub-a/x", false}}) {
    config.cluster.tls.files = folder.put("hub.pem", authority.issue(names));
    EXPECT_EQ(problem().empty(), is_good) << names << ": " << problem();
  }
  config.cluster.tls.files = folder.put("hub.pem", other.issue("DNS:hub-a"));
  EXPECT_TRUE(problem().contains("does not lead to")) << problem();
}

}  // namespace
}  // namespace umbra::hub
