// Mutual proof of the cluster's secret: HMAC-SHA-256 over both hellos and the role. The secret itself is
// never sent, and a proof fits one session only, since both sides put a nonce of theirs into it.
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "smtp/shadow_verbs.h"

namespace umbra::smtp {

std::string hub_proof(std::string_view secret, std::string_view role, const HubHello& client,
                      const HubHello& server, ShadowVersion version) {
  std::string text = "umbra xshadow " + std::to_string(version.used);
  if (version.used != version.offered) text += " of " + std::to_string(version.offered);
  text += '\n';
  text += role;
  for (const auto* hello : {&client, &server})
    text += '\n' + hello->hub + '\n' + to_string(hello->spool) + '\n' + std::to_string(hello->epoch.value) +
            '\n' + std::to_string(hello->sequence.value) + '\n' + hello->nonce;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  UMBRA_ASSERT(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                    reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
                    &size) != nullptr);
  static constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += digits[digest[i] >> 4U];
    hex += digits[digest[i] & 15U];
  }
  return hex;
}

bool proofs_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace umbra::smtp
