#include "net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <mutex>

namespace capstan {
namespace {

constexpr std::chrono::milliseconds kStopInterval{200};

void InitialiseCurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// The URL without query and user, for messages.
std::string Shown(const std::string& url) {
  std::string shown = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = shown.find("://");
  const size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t at = shown.find('@', from);
  if (at != std::string::npos && at < shown.find('/', from)) shown.erase(from, at + 1 - from);
  return shown;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

absl::StatusCode CodeOf(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return absl::StatusCode::kInvalidArgument;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// One request on its way. Curl keeps pointers into it: it does not move.
class Transfer {
 public:
  Transfer(HttpRequest request, const HttpClientOptions& options)
      : request_(std::move(request)), easy_(curl_easy_init()) {
    SetRequest();
    SetConnection(options);
    if (!options.unix_socket.empty()) {
      curl_easy_setopt(easy_, CURLOPT_UNIX_SOCKET_PATH, options.unix_socket.c_str());
      via_ = " through " + options.unix_socket;
    }
    SetTls(options.tls);
  }
  ~Transfer() {
    curl_easy_cleanup(easy_);
    curl_slist_free_all(headers_);
    curl_slist_free_all(connect_to_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* easy() const { return easy_; }
  const HttpRequest& request() const { return request_; }

  StatusOr<HttpReply> Result(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    reply_.status = static_cast<int>(status);
    if (code == CURLE_OK || reply_.stopped) return std::move(reply_);
    const std::string what = fmt::format("{} {}{}", request_.method, Shown(request_.url), via_);
    if (too_long_) {
      return MakeStatus(
          absl::StatusCode::kResourceExhausted,
          fmt::format("{}: the reply is longer than {} bytes", what, request_.max_body_bytes));
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
      return MakeStatus(absl::StatusCode::kCancelled, what + ": stopped");
    }
    const char* reason = error_[0] == '\0' ? curl_easy_strerror(code) : error_;
    return MakeStatus(CodeOf(code), fmt::format("{}: {}", what, Trimmed(reason)));
  }

 private:
  void SetRequest() {
    curl_easy_setopt(easy_, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
    if (request_.method == "HEAD") {
      curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
    } else if (!request_.body.empty() || request_.method == "POST" || request_.method == "PUT" ||
               request_.method == "PATCH") {
      curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request_.body.size()));
      curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request_.body.data());
    }
    curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    for (const auto& [name, value] : request_.headers) AddHeader(name + ": " + value);
    AddHeader("Expect:");  // no waiting for "100 Continue"
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeout.count()));
    if (request_.idle_timeout.count() > 0) {
      curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_LIMIT, 1L);
      curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_TIME,
                       static_cast<long>(request_.idle_timeout.count()));
    }
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  }

  void SetConnection(const HttpClientOptions& options) {
    curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(options.connect_timeout.count()));
    // An empty text also keeps curl from the environment's proxies.
    curl_easy_setopt(easy_, CURLOPT_PROXY, options.proxy.c_str());
    curl_easy_setopt(easy_, CURLOPT_NOPROXY, options.no_proxy.c_str());
    curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy_, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy_, CURLOPT_TCP_KEEPINTVL, 15L);
  }

  void SetTls(const HttpTls& tls) {
    SetPem(CURLOPT_CAINFO_BLOB, CURLOPT_CAINFO, tls.ca, tls.ca_file);
    SetPem(CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT, tls.cert, tls.cert_file);
    SetPem(CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY, tls.key, tls.key_file);
    if (tls.insecure) {
      curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 0L);
      curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!tls.server_name.empty()) UseServerName(tls.server_name);
  }

  void SetPem(CURLoption blob_option, CURLoption file_option, const std::string& text,
              const std::string& file) {
    if (!text.empty()) {
      curl_blob blob{
          .data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_COPY};
      curl_easy_setopt(easy_, blob_option, &blob);
    } else if (!file.empty()) {
      curl_easy_setopt(easy_, file_option, file.c_str());
    }
  }

  // Curl checks the certificate against the URL's host: the URL gets the name, and the connection
  // goes to where the URL pointed.
  void UseServerName(const std::string& name) {
    CURLU* url = curl_url();
    char *host = nullptr, *port = nullptr, *renamed = nullptr;
    if (curl_url_set(url, CURLUPART_URL, request_.url.c_str(), 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_HOST, name.c_str(), 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_URL, &renamed, 0) == CURLUE_OK) {
      const std::string rule = fmt::format("{}:{}:{}:{}", name, port, host, port);
      connect_to_ = curl_slist_append(nullptr, rule.c_str());
      curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_);
      curl_easy_setopt(easy_, CURLOPT_URL, renamed);
    }
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(url);
  }

  void AddHeader(const std::string& line) { headers_ = curl_slist_append(headers_, line.c_str()); }

  static size_t OnBody(char* data, size_t, size_t size, void* self) {
    return static_cast<Transfer*>(self)->TakeBody({data, size}) ? size : size + 1;
  }
  static size_t OnHeader(char* data, size_t, size_t size, void* self) {
    static_cast<Transfer*>(self)->TakeHeader({data, size});
    return size;
  }

  bool TakeBody(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    if (request_.on_body && status / 100 == 2) {
      reply_.stopped = !request_.on_body(bytes);
      return !reply_.stopped;
    }
    too_long_ = bytes.size() > request_.max_body_bytes - reply_.body.size();
    if (!too_long_) reply_.body.append(bytes);
    return !too_long_;
  }

  void TakeHeader(std::string_view line) {
    if (line.starts_with("HTTP/")) reply_.headers.clear();  // behind "100 Continue" or a proxy
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply_.headers[name] = std::string(Trimmed(line.substr(colon + 1)));
  }

  const HttpRequest request_;
  CURL* const easy_;
  curl_slist* headers_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  char error_[CURL_ERROR_SIZE] = {};
  std::string via_;
  HttpReply reply_;
  bool too_long_ = false;
};

// The transfers of one multi handle.
class TransferSet {
 public:
  TransferSet() : multi_((InitialiseCurl(), curl_multi_init())) {}
  ~TransferSet() {
    for (auto& [id, entry] : entries_) curl_multi_remove_handle(multi_, entry.transfer->easy());
    entries_.clear();
    curl_multi_cleanup(multi_);
  }

  int Add(std::unique_ptr<Transfer> transfer, HttpClient::DoneFunction done) {
    curl_multi_add_handle(multi_, transfer->easy());
    entries_[++last_id_] = {std::move(transfer), std::move(done)};
    return last_id_;
  }

  void Remove(int id) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    curl_multi_remove_handle(multi_, found->second.transfer->easy());
    entries_.erase(found);
  }

  void Poll(std::chrono::milliseconds timeout) {
    int running = 0;
    curl_multi_perform(multi_, &running);
    if (!Finish() && running > 0 && timeout.count() > 0) {
      curl_multi_poll(multi_, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
      curl_multi_perform(multi_, &running);
      Finish();
    }
    CheckStops();
  }

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::unique_ptr<Transfer> transfer;
    HttpClient::DoneFunction done;
  };

  // Hands over what has ended. Whether there was any.
  bool Finish() {
    std::vector<std::pair<CURL*, CURLcode>> ended;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) {
        ended.emplace_back(message->easy_handle, message->data.result);
      }
    }
    for (const auto& [easy, code] : ended) {
      const auto found = std::find_if(entries_.begin(), entries_.end(), [easy = easy](auto& e) {
        return e.second.transfer->easy() == easy;
      });
      if (found != entries_.end()) End(found, code);
    }
    return !ended.empty();
  }

  void CheckStops() {
    std::vector<int> stopped;
    for (const auto& [id, entry] : entries_) {
      const auto& stop = entry.transfer->request().stop;
      if (stop && stop()) stopped.push_back(id);
    }
    for (const int id : stopped) {
      const auto found = entries_.find(id);
      if (found != entries_.end()) End(found, CURLE_ABORTED_BY_CALLBACK);
    }
  }

  void End(std::map<int, Entry>::iterator found, CURLcode code) {
    Entry entry = std::move(found->second);
    entries_.erase(found);
    curl_multi_remove_handle(multi_, entry.transfer->easy());
    entry.done(entry.transfer->Result(code));
  }

  CURLM* const multi_;
  std::map<int, Entry> entries_;
  int last_id_ = 0;
};

}  // namespace

std::string_view HttpReply::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : found->second;
}

struct HttpClient::Rep {
  HttpClientOptions options;
  TransferSet single;   // Send's
  TransferSet streams;  // Start's: they rest while Send works
};

HttpClient::HttpClient(HttpClientOptions options) : rep_(new Rep{std::move(options)}) {}
HttpClient::~HttpClient() = default;

StatusOr<HttpReply> HttpClient::Send(const HttpRequest& request) {
  StatusOr<HttpReply> result = MakeStatus(absl::StatusCode::kInternal, "no result");
  rep_->single.Add(std::make_unique<Transfer>(request, rep_->options),
                   [&](StatusOr<HttpReply> reply) { result = std::move(reply); });
  while (rep_->single.size() > 0) rep_->single.Poll(kStopInterval);
  return result;
}

int HttpClient::Start(HttpRequest request, DoneFunction done) {
  return rep_->streams.Add(std::make_unique<Transfer>(std::move(request), rep_->options),
                           std::move(done));
}

void HttpClient::Cancel(int id) { rep_->streams.Remove(id); }

void HttpClient::Poll(std::chrono::milliseconds timeout) { rep_->streams.Poll(timeout); }

void HttpClient::SetTls(HttpTls tls) { rep_->options.tls = std::move(tls); }

size_t HttpClient::running() const { return rep_->streams.size(); }

std::string PercentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ||
                       c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace capstan
