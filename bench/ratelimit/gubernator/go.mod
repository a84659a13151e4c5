module gubernator-bench

go 1.20

require github.com/mailgun/gubernator/v2 v2.4.0
