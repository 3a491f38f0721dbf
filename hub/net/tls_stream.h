// TLS over any Stream (a socket, a test's queue): a Stream itself, so that a connection changes from plain to
// TLS by being wrapped. OpenSSL works on memory here; this class moves the octets. One watchdog of the owner
// is enough for everything: closing this stream ends what is under way.
//
// As in every Stream one read and one write may be under way at a time. Both may find that the TLS layer has
// something to say itself (an alert, a key update): only one of them writes to the stream below, the other's
// octets go with it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/net/stream.h"
#include "hub/net/tls_context.h"

namespace umbra::hub {

/// What a client wants of the server.
struct TlsServerName {
  std::string host;  ///< said in SNI, unless it is an address
  std::vector<std::string>
      names;  ///< where the context checks the peer: one of these ("mx.example.com", ".example.com": any
              ///< below, an address). Empty: any name, the owner looks at peer_names()
  std::string resume_as;  ///< sessions of the same text are resumed; empty: none
};

class TlsStream final : public Stream {
 public:
  /// The server's or the client's side, as the context says. Nothing may be under way on `below`.
  TlsStream(asio::io_context& io, std::unique_ptr<Stream> below, std::shared_ptr<const TlsContext> context,
            const TlsServerName& server = {});
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Must have returned well before anything else but close(). The error says in words what was wrong.
  Task<Result<void>> handshake();

  Task<IoResult> read_some(asio::mutable_buffer buffer) override;
  Task<ErrorCode> write(std::string_view octets) override;
  Task<ErrorCode> writable() override;
  Task<void> finish() override;
  void close() noexcept override { below_->close(); }
  [[nodiscard]] const Endpoint& remote() const override { return below_->remote(); }
  [[nodiscard]] Endpoint local() const override { return below_->local(); }

  // After the handshake.
  [[nodiscard]] std::string version() const;  ///< "TLSv1.3"
  [[nodiscard]] std::string cipher() const;   ///< IANA's name
  [[nodiscard]] bool is_resumed() const;
  /// Of the peer's certificate, if it has shown one that holds; else empty.
  [[nodiscard]] CertificateNames peer_names() const;
  /// 32 octets that only the two ends of this session know (RFC 5705).
  [[nodiscard]] std::string export_key(std::string_view label) const;

  /// For TlsContext: OpenSSL has a session that can be resumed.
  static int on_new_session(SSL* ssl, SSL_SESSION* session);

 private:
  friend struct TlsBio;
  Task<ErrorCode> read_more(std::size_t hint);
  Task<ErrorCode> flush(bool is_writer);
  [[nodiscard]] std::string why_failed() const;

  std::unique_ptr<Stream> below_;
  std::shared_ptr<const TlsContext> context_;
  std::string resume_as_;
  SslPtr ssl_;
  std::unique_ptr<char[]> buffer_;  // what was read from below, encrypted
  std::size_t buffer_octets_ = 0;
  std::string_view input_;  // of buffer_, not yet taken by OpenSSL
  std::string output_;      // of OpenSSL, not yet being written
  std::string writing_;
  Event flushed_;
  bool is_flushing_ = false;
  ErrorCode write_error_;   // of the stream below: nothing more can be written
  bool is_broken_ = false;  // OpenSSL has given up
};

}  // namespace umbra::hub
