#include "net/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <thread>

namespace capstan {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

struct HttpServer::Rep {
  HttpServerOptions options;
  std::map<std::string, Handler> routes;
  int connections = 0;
  int port = 0;
  asio::io_context io{1};  // its end closes the connections
  tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::thread thread;

  class Session;
  ~Rep();
  Status Listen();
  void Accept();
};

// One connection: reads a head, answers, and again while the client keeps it open. Lives as long as
// an operation of it is pending.
class HttpServer::Rep::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Rep* server, tcp::socket socket) : server_(server), stream_(std::move(socket)) {
    ++server_->connections;
  }
  ~Session() { --server_->connections; }

  void Read() {
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(server_->options.max_head_bytes));
    stream_.expires_after(server_->options.timeout);
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->OnHead(error); });
  }

 private:
  void OnHead(error_code error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return Write({.status = 431, .body = "the head of the request is too large\n"}, false);
    }
    if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return Write({.status = 400, .body = "this is no HTTP/1.1 request\n"}, false);
    }
    if (error) return;  // the client is gone, or took too long: the stream is closed
    // A body was not asked for and is not read: what follows on this connection is unknown.
    const bool keep_alive = parser_->is_done() && parser_->get().keep_alive();
    const HttpResponse response = Respond();
    Write(response, keep_alive);
  }

  HttpResponse Respond() const {
    const auto& request = parser_->get();
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      return {.status = 405, .body = "only GET and HEAD are answered here\n"};
    }
    if (!parser_->is_done()) return {.status = 413, .body = "a body is not expected here\n"};
    const std::string target(request.target().data(), request.target().size());
    const auto route = server_->routes.find(target.substr(0, target.find('?')));
    if (route != server_->routes.end()) return route->second();
    HttpResponse response{.status = 404, .body = "not found; here are:\n"};
    for (const auto& [path, handler] : server_->routes) response.body += path + "\n";
    return response;
  }

  void Write(const HttpResponse& response, bool keep_alive) {
    answer_ = {};
    answer_.result(static_cast<unsigned>(response.status));
    answer_.set(http::field::content_type, response.content_type);
    answer_.set(http::field::cache_control, "no-store");
    if (response.status == 405) answer_.set(http::field::allow, "GET, HEAD");
    answer_.keep_alive(keep_alive);
    answer_.content_length(response.body.size());
    if (parser_->get().method() != http::verb::head) answer_.body() = response.body;
    stream_.expires_after(server_->options.timeout);
    http::async_write(stream_, answer_,
                      [self = shared_from_this(), keep_alive](error_code error, size_t) {
                        if (error) return;
                        if (keep_alive) return self->Read();
                        error_code ignored;
                        self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
                      });
  }

  Rep* const server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{64 * 1024};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> answer_;
};

void HttpServer::Rep::Accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {  // out of file descriptors, perhaps: not in a busy loop
      pause.expires_after(std::chrono::milliseconds(100));
      return pause.async_wait([this](error_code cancelled) {
        if (!cancelled) Accept();
      });
    }
    if (connections < options.max_connections) {
      std::make_shared<Session>(this, std::move(socket))->Read();
    }
    Accept();
  });
}

Status HttpServer::Rep::Listen() {
  error_code error;
  auto address = asio::ip::make_address(options.host.empty() ? "::" : options.host, error);
  if (error) return Error("http server: host '{}' is no IP address", options.host);
  if (options.port < 0 || options.port > 65535) {
    return Error("http server: port {}, expected 0 to 65535", options.port);
  }
  acceptor.open(address.is_v6() ? tcp::v6() : tcp::v4(), error);
  if (error && options.host.empty()) {  // a machine without IPv6
    address = asio::ip::address_v4::any();
    acceptor.open(tcp::v4(), error);
  }
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && options.host.empty() && address.is_v6()) {
    acceptor.set_option(asio::ip::v6_only(false), error);
  }
  const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port = acceptor.local_endpoint(error).port();
  if (error) {
    return SystemError(fmt::format("http server: listen on {}:{}",
                                   options.host.empty() ? "*" : options.host, options.port),
                       error.value());
  }
  return OkStatus();
}

HttpServer::Rep::~Rep() {
  io.stop();
  if (thread.joinable()) thread.join();
}

HttpServer::HttpServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)), port_(rep_->port) {}
HttpServer::~HttpServer() { Stop(); }
void HttpServer::Stop() { rep_.reset(); }

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                        std::map<std::string, Handler> routes) {
  auto rep = std::make_unique<Rep>();
  rep->options = options;
  rep->routes = std::move(routes);
  RETURN_IF_ERROR(rep->Listen());
  rep->Accept();
  rep->thread = std::thread([server = rep.get()] { server->io.run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(rep)));
}

}  // namespace capstan
