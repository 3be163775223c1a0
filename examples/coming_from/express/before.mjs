// The old service: express-session keeps the sessions. A real one has connect-redis as its store.
import express from 'express';
import session from 'express-session';

export const SECRET = 'a secret of the old service';

const PASSWORDS = new Map([['alice', 'open sesame'], ['bob', 'open sesame']]);
const FORM = '<form method=post><input name=user><input name=password type=password>\n'
    + '<button>Log in</button></form>';

export function service(store) {
    const app = express();
    app.use(express.urlencoded({ extended: false }));
    app.use(session({
        store,
        secret: SECRET,
        resave: false,
        saveUninitialized: false,
        cookie: { sameSite: 'lax', secure: 'auto' },
    }));

    app.get('/', (req, res) => {
        res.type('text').send(`hello ${req.session.user ?? 'stranger'}`);
    });

    app.get('/account', (req, res) => {
        const { user, language } = req.session;
        if (!user) return res.redirect('/login');
        res.type('text').send(`You are ${user}, language ${language}.`);
    });

    app.get('/login', (req, res) => res.send(FORM));

    app.post('/login', (req, res, next) => {
        const { user, password } = req.body;
        if (!user || PASSWORDS.get(user) !== password) {
            return res.status(401).type('text').send('wrong user or password');
        }
        req.session.regenerate((error) => {
            if (error) return next(error);
            req.session.user = user;
            req.session.language = 'en';
            res.redirect('/account');
        });
    });

    app.post('/language', (req, res) => {
        if (!req.session.user) return res.sendStatus(401);
        req.session.language = req.body.language;
        res.redirect('/account');
    });

    app.post('/logout', (req, res, next) => {
        req.session.destroy((error) => {
            if (error) return next(error);
            res.clearCookie('connect.sid').redirect('/');
        });
    });

    return app;
}
