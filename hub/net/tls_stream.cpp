#include "hub/net/tls_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>

namespace umbra::hub {
namespace {

constexpr std::size_t small_buffer_octets = 2U << 10;
constexpr std::size_t large_buffer_octets = 17U << 10;  // a whole record
constexpr std::size_t piece_octets_max = 64U << 10;
constexpr std::size_t output_octets_kept = 4U << 10;

bool is_address(const std::string& text) {
  using StringPtr = std::unique_ptr<ASN1_OCTET_STRING, OpensslDeleter<ASN1_OCTET_STRING_free>>;
  return StringPtr(a2i_IPADDRESS(text.c_str())) != nullptr;
}

}  // namespace

/// How OpenSSL reads and writes: from and into the memory of a TlsStream.
struct TlsBio {
  static int read(BIO* bio, char* to, int octets) {
    auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream.input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    auto count = std::min(static_cast<std::size_t>(octets), stream.input_.size());
    std::memcpy(to, stream.input_.data(), count);
    stream.input_.remove_prefix(count);
    return static_cast<int>(count);
  }
  static int write(BIO* bio, const char* from, int octets) {
    static_cast<TlsStream*>(BIO_get_data(bio))->output_.append(from, static_cast<std::size_t>(octets));
    BIO_clear_retry_flags(bio);
    return octets;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "umbra stream");
      UMBRA_ASSERT(m != nullptr);
      BIO_meth_set_read(m, read);
      BIO_meth_set_write(m, write);
      BIO_meth_set_ctrl(m, control);
      BIO_meth_set_create(m, create);
      return m;
    }();
    return made;
  }
};

TlsStream::TlsStream(asio::io_context& io, std::unique_ptr<Stream> below,
                     std::shared_ptr<const TlsContext> context, const TlsServerName& server)
    : below_(std::move(below)),
      context_(std::move(context)),
      resume_as_(server.resume_as),
      ssl_(SSL_new(context_->get())),
      flushed_(io) {
  UMBRA_ASSERT(ssl_ != nullptr);
  auto* ssl = ssl_.get();
  auto* bio = BIO_new(TlsBio::method());
  UMBRA_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, this);
  // The clock that everything else goes by.
  auto* checks = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_time(checks, unix_seconds(WallClock::now()));
  if (context_->is_server()) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  for (const auto& name : server.names) {
    bool is_set = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str()) == 1
                                   : X509_VERIFY_PARAM_add1_host(checks, name.c_str(), 0) == 1;
    UMBRA_ASSERT(is_set && !name.empty());  // never goes on without the check
  }
  if (!server.host.empty() && !is_address(server.host)) SSL_set_tlsext_host_name(ssl, server.host.c_str());
  if (auto* session = resume_as_.empty() ? nullptr : context_->session_for(resume_as_))
    SSL_set_session(ssl, session);
}

TlsStream::~TlsStream() {
  // OpenSSL takes a session that was not ended in words for one that failed, and would never resume it.
  // TLS 1.1 and later allow it, and a connection may just be cut.
  if (!is_broken_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

Task<Result<void>> TlsStream::handshake() {
  while (true) {
    ERR_clear_error();
    int done = SSL_do_handshake(ssl_.get());
    auto state = SSL_get_error(ssl_.get(), done);
    auto why = done == 1 || state == SSL_ERROR_WANT_READ ? std::string{} : why_failed();
    // Also when it failed: the other side is told why.
    auto error = co_await flush(true);
    if (!why.empty()) {
      is_broken_ = true;
      co_return failure(std::errc::protocol_error, why);
    }
    if (!error && done == 1) co_return Result<void>{};
    if (!error) error = co_await read_more(large_buffer_octets);
    if (error) {
      is_broken_ = true;
      co_return failure(std::errc::connection_aborted,
                        "the connection was lost in the TLS handshake: " + error.message());
    }
  }
}

Task<IoResult> TlsStream::read_some(asio::mutable_buffer buffer) {
  while (!is_broken_) {
    std::size_t octets = 0;
    ERR_clear_error();
    int done = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &octets);
    auto state = SSL_get_error(ssl_.get(), done);
    bool is_over = done != 1 && state != SSL_ERROR_WANT_READ && state != SSL_ERROR_ZERO_RETURN;
    if (is_over) is_broken_ = true;
    ErrorCode error;
    if (!output_.empty()) error = co_await flush(false);
    if (done == 1) co_return IoResult{{}, octets};
    if (state == SSL_ERROR_ZERO_RETURN) co_return IoResult{asio::error::eof, 0};
    if (is_over) break;
    if (!error) error = co_await read_more(buffer.size());
    if (error)
      co_return IoResult{error == asio::error::eof ? ErrorCode{asio::error::connection_aborted} : error, 0};
  }
  ERR_clear_error();
  co_return IoResult{asio::error::connection_aborted, 0};
}

Task<ErrorCode> TlsStream::write(std::string_view octets) {
  while (!octets.empty()) {
    if (is_broken_) co_return asio::error::connection_aborted;
    auto piece = octets.substr(0, piece_octets_max);
    std::size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &written) != 1) {
      is_broken_ = true;
      ERR_clear_error();
      co_return asio::error::connection_aborted;
    }
    octets.remove_prefix(written);
    if (auto error = co_await flush(true)) co_return error;
  }
  co_return ErrorCode{};
}

Task<ErrorCode> TlsStream::writable() {
  while (is_flushing_) co_await flushed_.wait();
  if (write_error_) co_return write_error_;
  co_return co_await below_->writable();
}

Task<void> TlsStream::finish() {
  if (is_broken_ || SSL_is_init_finished(ssl_.get()) != 1) co_return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  co_await flush(true);
}

/// Reads what comes next from below. Called when OpenSSL has taken everything.
Task<ErrorCode> TlsStream::read_more(std::size_t hint) {
  UMBRA_ASSERT(input_.empty());
  // Who waits with a small buffer waits for a command, and there may be thousands of these.
  auto octets = hint > small_buffer_octets ? large_buffer_octets : small_buffer_octets;
  if (buffer_octets_ != octets) {
    buffer_ = std::make_unique_for_overwrite<char[]>(octets);
    buffer_octets_ = octets;
  }
  auto got = co_await below_->read_some(asio::buffer(buffer_.get(), buffer_octets_));
  if (!got.error) input_ = {buffer_.get(), got.octets};
  co_return got.error;
}

/// Writes what OpenSSL has to say. A reader that finds the writer at it leaves its octets to it; the writer
/// waits for a reader.
Task<ErrorCode> TlsStream::flush(bool is_writer) {
  if (is_flushing_ && !is_writer) co_return ErrorCode{};
  while (is_flushing_) co_await flushed_.wait();
  is_flushing_ = true;
  while (!output_.empty() && !write_error_) {
    writing_.clear();
    writing_.swap(output_);
    write_error_ = co_await below_->write(writing_);
  }
  if (writing_.capacity() > output_octets_kept) writing_ = {};
  if (output_.capacity() > output_octets_kept) output_ = {};
  is_flushing_ = false;
  flushed_.set();
  co_return write_error_;
}

std::string TlsStream::why_failed() const {
  auto problem = openssl_problem();
  auto checked = SSL_get_verify_result(ssl_.get());
  if (checked != X509_V_OK && problem.contains("certificate verify failed"))
    problem += std::string(": ") + X509_verify_cert_error_string(checked);
  return "TLS handshake failed: " + problem;
}

std::string TlsStream::version() const {
  return SSL_get_version(ssl_.get());
}

std::string TlsStream::cipher() const {
  const auto* cipher = SSL_get_current_cipher(ssl_.get());
  const char* name = cipher == nullptr ? nullptr : SSL_CIPHER_standard_name(cipher);
  return name == nullptr ? "unknown" : name;
}

bool TlsStream::is_resumed() const {
  return SSL_session_reused(ssl_.get()) == 1;
}

CertificateNames TlsStream::peer_names() const {
  const auto* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  return names_of(*certificate);
}

std::string TlsStream::export_key(std::string_view label) const {
  std::string key(32, '\0');
  UMBRA_ASSERT(SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(key.data()),
                                          key.size(), label.data(), label.size(), nullptr, 0, 0) == 1);
  return key;
}

int TlsStream::on_new_session(SSL* ssl, SSL_SESSION* session) {
  auto* stream = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  if (stream == nullptr || stream->resume_as_.empty()) return 0;
  stream->context_->remember(stream->resume_as_, SessionPtr(session));
  return 1;
}

}  // namespace umbra::hub
