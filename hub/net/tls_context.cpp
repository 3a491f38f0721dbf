#include "hub/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "hub/net/tls_stream.h"

namespace umbra::hub {
namespace {

constexpr std::size_t sessions_max = 1000;
constexpr long server_sessions_max = 1000;  // of clients that know no tickets
constexpr long session_life_s = 3600;

std::unexpected<Error> refused(const std::string& what) {
  return failure(std::errc::invalid_argument, what + ": " + openssl_problem());
}

int take_any(int, X509_STORE_CTX*) {
  return 1;
}

/// Does the certificate lead to one of those that `context` trusts, at that time?
bool leads_to_trusted(SSL_CTX& context, const TlsIdentity& identity, WallTime now) {
  using StorePtr = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;
  StorePtr store(X509_STORE_CTX_new());
  struct StackFree {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
  };
  std::unique_ptr<STACK_OF(X509), StackFree> chain(sk_X509_new_null());
  for (const auto& one : identity.chain) sk_X509_push(chain.get(), one.get());
  if (X509_STORE_CTX_init(store.get(), SSL_CTX_get_cert_store(&context), identity.certificate.get(),
                          chain.get()) != 1)
    return false;
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(store.get()), unix_seconds(now));
  if (X509_verify_cert(store.get()) == 1) return true;
  // Expiry is another question, and others ask it.
  auto error = X509_STORE_CTX_get_error(store.get());
  ERR_clear_error();
  return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsOptions& options, WallTime now) {
  std::shared_ptr<TlsContext> made(new TlsContext(options));
  auto first = made->make_one(options.identities.empty() ? nullptr : &options.identities.front(), now);
  if (!first) return std::unexpected(first.error());
  made->context_ = std::move(*first);
  for (std::size_t i = 1; i < options.identities.size(); ++i) {
    auto further = made->make_one(&options.identities[i], now);
    if (!further) return std::unexpected(further.error());
    CertificatePtr certificate(SSL_CTX_get0_certificate(further->get()));
    X509_up_ref(certificate.get());
    made->named_.push_back({std::move(*further), std::move(certificate)});
  }
  if (!options.identities.empty()) {
    made->first_.reset(SSL_CTX_get0_certificate(made->context_.get()));
    X509_up_ref(made->first_.get());
  }
  if (!made->named_.empty()) {
    SSL_CTX_set_tlsext_servername_callback(made->context_.get(), choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(made->context_.get(), made.get());
  }
  return made;
}

Result<SslContextPtr> TlsContext::make_one(const TlsFiles* files, WallTime now) {
  ERR_clear_error();
  SslContextPtr made(SSL_CTX_new(options_.is_server ? TLS_server_method() : TLS_client_method()));
  if (!made) return refused("TLS cannot be set up");
  auto* context = made.get();
  SSL_CTX_set_min_proto_version(
      context, options_.minimum_version == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_timeout(context, session_life_s);
  if (options_.is_server) {
    static constexpr unsigned char any_place[] =
        "umbra";  // contexts share no keys: a session never fits another place
    SSL_CTX_set_session_id_context(context, any_place, sizeof any_place - 1);
    SSL_CTX_set_session_cache_mode(context, options_.may_resume ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_cache_size(context, server_sessions_max);
    if (!options_.may_resume) {
      SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(context, 0);
    }
  } else if (options_.may_resume) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, TlsStream::on_new_session);
  } else {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  }
  if (options_.peer != TlsOptions::Peer::unchecked)
    if (auto trusting = set_trust(*context); !trusting) return std::unexpected(trusting.error());
  if (files != nullptr)
    if (auto set = set_identity(*context, *files, now); !set) return std::unexpected(set.error());
  return made;
}

Result<void> TlsContext::set_identity(SSL_CTX& context, const TlsFiles& files, WallTime now) {
  auto identity = read_identity(files.certificate, files.key);
  if (!identity) return std::unexpected(identity.error());
  if (SSL_CTX_use_certificate(&context, identity->certificate.get()) != 1)
    return refused(files.certificate + ": the certificate is not taken");
  for (const auto& one : identity->chain)
    if (SSL_CTX_add1_chain_cert(&context, one.get()) != 1)
      return refused(files.certificate + ": its chain is not taken");
  if (SSL_CTX_use_PrivateKey(&context, identity->key.get()) != 1)
    return refused(files.certificate + ": its key is not taken");
  auto names = names_of(*identity->certificate);
  if (!options_.own_name.empty()) {
    if (!names_hub(names, options_.own_name))
      return failure(std::errc::invalid_argument,
                     files.certificate + ": the certificate does not name this hub: DNS:" +
                         options_.own_name + " or URI:" + hub_uri(options_.own_name) + " is expected");
    if (!leads_to_trusted(context, *identity, now))
      return failure(std::errc::invalid_argument,
                     files.certificate + ": the certificate does not lead to " + options_.authorities);
  }
  valid_from_ = std::max(valid_from_, hub::valid_from(*identity->certificate));
  valid_until_ = std::min(valid_until_, hub::valid_until(*identity));
  if (&files == &options_.identities.front() || names_.dns.empty()) names_ = std::move(names);
  return {};
}

Result<void> TlsContext::set_trust(SSL_CTX& context) const {
  if (options_.authorities.empty()) {
    if (SSL_CTX_set_default_verify_paths(&context) != 1)
      return refused("the system's certificate authorities cannot be read");
  } else {
    auto authorities = read_authorities(options_.authorities);
    if (!authorities) return std::unexpected(authorities.error());
    for (const auto& one : *authorities) {
      if (X509_STORE_add_cert(SSL_CTX_get_cert_store(&context), one.get()) != 1)
        return refused(options_.authorities + ": a certificate is not taken");
      if (options_.is_server) SSL_CTX_add_client_CA(&context, one.get());
    }
  }
  if (options_.peer == TlsOptions::Peer::asked) {
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, take_any);
  } else {
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return {};
}

std::vector<const X509*> TlsContext::certificates() const {
  std::vector<const X509*> all;
  if (first_) all.push_back(first_.get());
  for (const auto& one : named_)
    if (one.certificate) all.push_back(one.certificate.get());
  return all;
}

int TlsContext::choose_by_name(SSL* ssl, int*, void* self) {
  const auto* context = static_cast<const TlsContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  auto fits = [name](X509* certificate) { return X509_check_host(certificate, name, 0, 0, nullptr) == 1; };
  if (fits(context->first_.get())) return SSL_TLSEXT_ERR_OK;
  for (const auto& further : context->named_) {
    if (!fits(further.certificate.get())) continue;
    SSL_set_SSL_CTX(ssl, further.context.get());
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

void TlsContext::remember(const std::string& server, SessionPtr session) const {
  if (auto known = sessions_.find(server); known != sessions_.end()) {
    ages_.splice(ages_.end(), ages_, known->second.age);
    known->second.session = std::move(session);
    return;
  }
  if (sessions_.size() >= sessions_max) {
    sessions_.erase(ages_.front());
    ages_.pop_front();
  }
  sessions_.emplace(server, Remembered{std::move(session), ages_.insert(ages_.end(), server)});
}

SSL_SESSION* TlsContext::session_for(const std::string& server) const {
  auto known = sessions_.find(server);
  return known == sessions_.end() ? nullptr : known->second.session.get();
}

}  // namespace umbra::hub
